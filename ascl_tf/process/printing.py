"""Names that a terminal cannot show, such as a class called é where LANG=C."""

import io
import sys


def escape_unprintable() -> None:
    """Lets stdout and stderr write an escape for what their encoding lacks, not raise.

    A name in a summary must not end a program in a traceback when all the work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        # What a test or a caller has put in their place may be no text file.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def encodable(text: str) -> str:
    """Returns `text` with an escape for each byte of a file's name that is no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
