"""Flagfiles: one flag on each line, `#` or `//` before comments, `--flagfile=` for others.

absl reads them too, but in the locale's encoding, and takes all that follows the first `=` of a
line for the value: a second flag there is lost in silence. Here everything is either served
or refused with file and line.
"""

import codecs
import os
import re
from collections.abc import Mapping, Sequence

from ascl_tf.config.paths import expand
from ascl_tf.errors import ConfigError
from ascl_tf.program import recipes

_NAME = "flagfile"
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_COMMENTS = ("#", "//")
_BYTE_ORDER_MARK = "\ufeff"
_MOST_NESTED = 50
# What no shell takes out of a line here -> what is expected.
_LEFT_FROM_A_SHELL = {
    r"\s(#|//)\s": "comments on lines of their own",
    r"\s\\$": "one flag on each line, without a backslash behind it",
    r"=([\"']).*\1$": "a value without quotes",
}


def expand_flagfiles(argv: Sequence[str], known: Mapping[str, bool]) -> list[str]:
    """Returns a command line in which the lines of each flagfile stand in its place.

    A nested flagfile is looked up from the working directory, as the outermost one is; those of
    the package (recipes.py) are found from anywhere.

    Args:
        argv: command line without the program.
        known: names of the flags -> whether they can stand without a value.

    Raises:
        ConfigError: naming file and line, if one cannot be read, is no text, includes itself,
            or has a line that is not one whole flag; naming the flag, if `--no` has a value.
    """
    expanded, rest = [], list(argv)
    while rest:
        argument = rest.pop(0)
        name = argument.lstrip("-")
        if name in (_NAME, *_recipe_flags(known)) and argument.startswith("-"):
            argument = f"--{name}={rest.pop(0) if rest else ''}"
        path = _included(argument, known)
        if path is None:
            expanded.append(argument)
        else:
            expanded += _read(path, known, "", ())
    for argument in expanded:
        off = re.fullmatch(r"--?no(\w+)=(.*)", argument, re.DOTALL)
        if off and known.get(off[1]):
            raise ConfigError(f"--no{off[1]}: expected no value; found {off[2]!r}")
    return expanded


def check_values(values: Mapping[str, object], known: Mapping[str, bool]) -> None:
    """Raises ConfigError for a text that no line of a flagfile can hold, as flags.txt must.

    Args:
        values: what a command line sets, by flag.
        known: as in `expand_flagfiles`.
    """
    for name, value in values.items():
        if not isinstance(value, str):
            continue
        if _strip(value) != value or _LINE_ENDS.search(value):
            expected = "a value on one line, without spaces at its ends"
            raise ConfigError(f"--{name}: expected {expected}; found {value!r}")
        _check_line(f"--{name}={value}", known, f"--{name}, as a line of flags.txt: ")


def _strip(line: str) -> str:
    """Returns a line without white space and byte-order marks at its ends."""
    stripped = line.strip().strip(_BYTE_ORDER_MARK)
    return stripped if stripped == line else _strip(stripped)


def _included(line: str, known: Mapping[str, bool]) -> str | None:
    """Returns the file that a line includes, or None."""
    found = re.fullmatch(r"--?(\w+)=(.*)", line, re.DOTALL)
    name, value = found.groups() if found else ("", "")
    if name in _recipe_flags(known) and value.strip() != recipes.LIST:
        return recipes.flagfile_of(value.strip())
    return value.strip() if name == _NAME else None


def _recipe_flags(known: Mapping[str, bool]) -> tuple[str, ...]:
    return (recipes.FLAG,) if recipes.FLAG in known else ()


def _read(path: str, known: Mapping[str, bool], where: str, outer: tuple[str, ...]) -> list[str]:
    """Returns the flags of a file and of those that it includes.

    Args:
        where: beginning of messages: the line that includes it.
        outer: the files that include this one.
    """
    named = f"{where}--{_NAME}={path}"
    content, place = _open(path, named, outer)
    if place in outer:
        raise ConfigError(f"{named}: expected a file that does not include itself; found one")
    if len(outer) == _MOST_NESTED:
        raise ConfigError(f"{named}: expected at most {_MOST_NESTED} files around one; found more")
    flags = []
    for number, line in enumerate(_LINE_ENDS.split(_decode(content, named)), start=1):
        line = _strip(line)
        here, nested = f"{named}, line {number}: ", _included(line, known)
        if nested is not None:
            flags += _read(nested, known, here, (*outer, place))
        elif line and not line.startswith(_COMMENTS):
            _check_line(line, known, here)
            flags.append(line)
    return flags


def _open(path: str, named: str, outer: tuple[str, ...]) -> tuple[bytes, str]:
    """Returns the content of a file, and which file it is whatever it is called."""
    if not path:
        raise ConfigError(f"{named}: expected a readable file; found no name")
    try:
        place = _place(path, outer)
        with open(place, "rb") as file:
            return file.read(), os.path.realpath(place)
    except OSError as error:
        raise ConfigError(f"{named}: expected a readable file; found: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{named}: {error}") from None


def _place(path: str, outer: tuple[str, ...]) -> str:
    """Returns where a flagfile lies: for a file of the package, and what it includes, there."""
    here = expand(path)
    if not path.startswith(recipes.PREFIX):
        return here
    own = str(recipes.place_of(path))
    is_in_package = bool(outer) and outer[-1].startswith(str(recipes.folder()) + os.sep)
    return own if is_in_package or not os.path.exists(here) else here


def _decode(content: bytes, named: str) -> str:
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8")
        fault = text.find("\0")
        if fault < 0:
            return text
        before, found = text[:fault], "a NUL character"
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("latin-1")
        found = f"byte 0x{content[error.start]:02x} ({error.reason})"
    line = len(_LINE_ENDS.findall(before)) + 1
    raise ConfigError(
        f"{named}, line {line}: expected text in UTF-8, or in UTF-16 with a byte-order mark; "
        f"found {found}"
    )


def _check_line(line: str, known: Mapping[str, bool], here: str) -> None:
    """Raises ConfigError unless a line is one flag with all of its value."""
    if not line.strip("-") or not line.startswith("-"):
        raise ConfigError(f"{here}expected only flags such as --seed=1; found {line!r}")
    first, *others = re.findall(r"(?:^|(?<=\s))(--?)(\w+)", line) or [("", "")]
    second = next((f"{d}{n}" for d, n in others if d == "--" or _is_known(n, known)), None)
    if second is not None:
        raise ConfigError(f"{here}expected one flag on each line; found {second} too in {line!r}")
    for pattern, expected in _LEFT_FROM_A_SHELL.items():
        if re.search(pattern, line):
            raise ConfigError(f"{here}expected {expected}; found {line!r}")
    name = first[1]
    has_value = line.startswith(f"{first[0]}{name}=")
    stands_alone = line.lstrip("-") == name and (
        known.get(name, False) or known.get(name.removeprefix("no"), False)
    )
    if (_is_known(name, known) or name == _NAME) and not has_value and not stands_alone:
        raise ConfigError(f"{here}expected --{name}=<value>; found {line!r}")


def _is_known(name: str, known: Mapping[str, bool]) -> bool:
    return name in known or (name.startswith("no") and known.get(name[2:], False))
