"""What `--help` and `--helpfull` print: flags by topic. A topic is a dataclass of settings."""

import dataclasses
import inspect
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from ascl_tf.config.registry import methods_with

_PROGRAM = "General"


def topics_of(*sections: type) -> dict[str, list[str]]:
    """Returns the names of the flags below each heading; those of a base class have its own."""
    topics: dict[str, list[str]] = {}
    for topic in (base for section in sections for base in inspect.getmro(section)):
        if dataclasses.is_dataclass(topic):
            own = inspect.get_annotations(topic)
            names = [field.name for field in dataclasses.fields(topic) if field.name in own]
            topics.setdefault(_heading(topic), []).extend(names)
    return topics


def describe_flags(
    values: Any, topics: dict[str, list[str]], names: Sequence[str] | None = None
) -> str:
    """Returns the headings with the flags below them, as wide as the terminal is.

    Args:
        values: `absl.flags.FlagValues`. What no topic holds is the program's own and stands first.
        topics: as `topics_of` returns them.
        names: the flags to show; None: all.
    """
    placed = {name for found in topics.values() for name in found}
    own = [name for name in values if name not in placed and values[name].name == name]
    width = shutil.get_terminal_size().columns
    blocks = []
    for heading, found in {_PROGRAM: own, **topics}.items():
        shown = [name for name in found if names is None or name in names]
        if shown:
            lines = [_wrap(_describe(values[name]), width, indent="  ") for name in shown]
            blocks.append("\n".join([_wrap(f"{heading}:", width), *lines]))
    return "\n\n".join(blocks)


def _heading(section: type) -> str:
    words = (section.__doc__ or "").partition("\n")[0].removesuffix(".")
    if words.startswith(f"{section.__name__}("):  # What a dataclass says by itself.
        words = ""
    methods = ", ".join(methods_with(section))
    return f"{words} (--method: {methods})".strip() if methods else words


def default_of(flag: Any) -> str:
    """Returns the default of an absl flag as a command line has it."""
    return str(flag.default).lower() if flag.boolean else str(flag.default)


def text_of(flag: Any) -> str:
    """Returns what an absl flag says of itself, without absl's own list of choices."""
    # No line could break in that list.
    return str(flag.help).removeprefix(f"<{'|'.join(_choices_of(flag))}>: ")


def _choices_of(flag: Any) -> Sequence[str]:
    return getattr(flag.parser, "enum_values", ())


def _describe(flag: Any) -> str:
    choices = _choices_of(flag)
    among = f" One of {', '.join(choices)}." if choices else ""
    return f"--{flag.name}={default_of(flag)}: {text_of(flag)}{among}"


def _wrap(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
