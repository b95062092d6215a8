"""Writing files whole or not at all."""

import contextlib
import errno
import os
import pathlib

from ascl_tf.errors import RunError

# What a user can mend: a full or read-only disk, missing permissions. All else is a fault here.
_WRITE_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG),
)


def write_whole(path, write):
    """Calls `write` with a binary file that takes the place of `path` when it is complete.

    What stood at `path` stays there until then, whatever interrupts the writing.

    Args:
        path: where the file shall be; its folder is made if need be.
        write: callable (binary file).

    Raises:
        OSError: as the system raises it, with the name of the file; nothing is left behind then.
    """
    target = pathlib.Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None:
            raise
        # A full disk is reported without the name of the file.
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file, UTF-8, whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))


def remove_leftovers(folder):
    """Removes what `write_whole` leaves in `folder` if its process is killed while it writes."""
    for path in pathlib.Path(folder).glob(".*.tmp"):
        if path.is_file() and path.name.split(".")[-2].isdigit():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def one_line_for_full_disks():
    """Turns what the system refuses to write into a RunError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITE_ERRORS:
            raise
        named = f"{error.filename}: " if error.filename else ""
        raise RunError(
            f"{named}expected a file that can be written; found: {error.strerror}"
        ) from (error)
