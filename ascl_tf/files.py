"""Writing files whole or not at all."""

import os
import pathlib


def write_whole(path, write):
    """Calls `write` with a binary file that takes the place of `path` when it is complete.

    What stood at `path` stays there until then, whatever interrupts the writing.

    Args:
        path: where the file shall be; its folder is made if need be.
        write: callable (binary file).

    Raises:
        OSError: as the system raises it; nothing is left behind then.
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
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file, UTF-8, whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))
