"""Writing files whole or not at all."""

import contextlib
import errno
import glob
import os
import pathlib
import tempfile

from ascl_tf.errors import RunError

# What a user can mend: a full or read-only disk, missing permissions. All else is a fault here.
_WRITE_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG),
)

# Bytes that a trial writes: about a large record file.
_TRIAL_SIZE = 2**18


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
    """Writes a text file, UTF-8, whole or not at all.

    Of file names that are no UTF-8 it holds the bytes that the system has.
    """
    write_whole(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def check_file_place(field, path):
    """Tries the place of a result, so that nothing is measured that could not be written.

    Args:
        field: name of the setting that holds `path`, for messages.
        path: the file to be.

    Raises:
        RunError: if it is no file, or its folder cannot be written.
    """
    target = pathlib.Path(path)
    if target.exists() and not target.is_file():
        found = "a folder" if target.is_dir() else "a device"
        raise RunError(field=field, value=path, expected="a file", found=found)
    expected = "a file in a folder that can be written"
    _try_to_write(target.absolute().parent, field=field, value=path, expected=expected)


def check_folder_place(field, path, files=()):
    """As `check_file_place`, for a folder that is made if need be.

    Args:
        files: names of the files to be in it.
    """
    target = pathlib.Path(path).absolute()
    if target.exists() and not target.is_dir():
        raise RunError(field=field, value=path, expected="a folder", found="a file")
    existing = next(place for place in (target, *target.parents) if place.exists())
    _try_to_write(existing, field=field, value=path, expected="a folder that can be written")
    for name in files:
        if (target / name).is_dir():
            raise RunError(
                field=field, value=path, expected=f"a file {name} or none", found="a folder"
            )


def check_outside(field, path, models, *, replaces_folder=False):
    """Raises RunError if a result would lie in a model's folder, whose hash it would change.

    Args:
        field, path: as above.
        models: paths of models; a result in place of one is refused, too.
        replaces_folder: whether the result is a folder that takes the place of what is there: it
            may not hold a model either.
    """
    target = pathlib.Path(path)
    # A link is replaced where it stands; what a folder's link leads to is written there.
    places = (target.resolve(), target.parent.resolve())
    for model in models:
        at = pathlib.Path(model).resolve()
        is_replaced = replaces_folder and at.is_relative_to(target.resolve())
        if is_replaced or any(place.is_relative_to(at) for place in places):
            expected = "a place outside of every model, which it would change"
            raise RunError(field=field, value=path, expected=expected, found=f"one in {model}")


def _try_to_write(folder, **parts):
    """Raises RunError of these `parts` if no file can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # A full disk may still have room for an empty file.
            file.write(bytes(_TRIAL_SIZE))
            file.flush()
    except OSError as error:
        raise RunError(**parts, cause=error.strerror) from error


def remove_leftovers(folder):
    """Removes what `write_whole` leaves in `folder` if its process is killed while it writes."""
    for path, _ in _leftovers(folder):
        path.unlink(missing_ok=True)


def remove_leftovers_of(target):
    """As `remove_leftovers`, of what was written at `target` or at a name that begins with it.

    Others may be writing in that folder, so that files of processes that live stay.
    """
    target = pathlib.Path(target)
    for path, process in _leftovers(target.parent, target.name):
        if not _lives(process):
            path.unlink(missing_ok=True)


def _leftovers(folder, name=""):
    """Returns (path, number of the process) for what `write_whole` has left in `folder`."""
    found = [p for p in pathlib.Path(folder).glob(f".{glob.escape(name)}*.tmp") if p.is_file()]
    numbers = [path.name.split(".")[-2] for path in found]
    return [(path, int(n)) for path, n in zip(found, numbers, strict=True) if n.isdecimal()]


def _lives(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # Of another user.
    return True


@contextlib.contextmanager
def write_errors_as_one_line():
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
