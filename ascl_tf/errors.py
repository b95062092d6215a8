"""The two kinds of mistakes that a user can make, and their exit statuses.

Both are `ValueError`s, so that a caller of the library may catch just that.
The message is one line: which setting, argument or file; what was expected; what was found.
The library knows settings and arguments by their names; which flag a name is, only a program
knows: `ascl_tf.program.messages` writes the line of an error with flags.
"""

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

# A setting in a text, and maybe a value of it: `image_size`, `depth=16`.
_SETTING = re.compile(r"`([a-z]\w*)(?:=([^`]*))?`")


def in_backticks(name: str, value: Any = None) -> str:
    """Returns how a line names a setting or argument to a caller of the library."""
    return f"`{name}`" if value is None else f"`{name}={value}`"


def near_names(name: object, known: Iterable[str], *, count: int = 3) -> str:
    """Returns the known names that a mistyped one resembles, for the end of `found`; "" for none.

    Capital letters make no difference.

    Example:
        >>> near_names("TARDES", ["at", "mart", "trades"], count=1)
        ' (near it: trades)'
    """
    names = {one.lower(): one for one in known}
    near = difflib.get_close_matches(str(name).lower(), list(names), n=count, cutoff=0.5)
    return f" (near it: {', '.join(names[one] for one in near)})" if near else ""


class FieldError(ValueError):
    """A mistake, kept in parts, so that a program can name its flags where a library cannot.

    In `expected` and `found` other settings stand in backticks, maybe with a value:
    `image_size`, `depth=16`.

    Args:
        text: what is wrong, where it has another form; nothing in it is taken for a setting.
            Or the error that was found there, whose own line follows.
        field: name of the setting or argument at fault.
        value: its value, where the line shall name it.
        place: in place of `field` the file, the step or the worker.
        expected, found: what was expected, and what was found.
        cause: in place of `found`, what the system or another library says of it, untouched.

    Example:
        >>> print(FieldError(field="depth", expected="10 or 18", found="17, with `width=8`"))
        `depth`: expected 10 or 18; found 17, with `width=8`
    """

    exit_status = 1

    def __init__(
        self,
        text: object = "",
        *,
        field: str | None = None,
        value: Any = None,
        place: object | None = None,
        expected: object = "",
        found: object = "",
        cause: object = "",
    ) -> None:
        super().__init__(text)
        self.text, self.field, self.value, self.place = text, field, value, place
        self.expected, self.found, self.cause = expected, found, cause
        self._renamings: list[Mapping[str, str]] = []

    def __str__(self) -> str:
        return self.line()

    def rename(self, names: Mapping[str, str]) -> None:
        """From now on names settings as the dictionary `names` (old -> new) says."""
        self._renamings = [*self._renamings, names]

    def line(self, write: Callable[[str, Any], str] = in_backticks) -> str:
        """Returns the line in which `write` (name, value or None) names settings and arguments."""

        def written(name: str, value: Any) -> str:
            for names in self._renamings:
                name = names.get(name, name)
            return write(name, value)

        def with_settings(text: object) -> str:
            return _SETTING.sub(lambda match: written(*match.groups()), str(text))

        if isinstance(self.text, FieldError):
            body = self.text.line(write)
        elif self.text:
            body = str(self.text)
        else:
            found = f": {self.cause}" if self.cause else f" {with_settings(self.found)}"
            body = f"expected {with_settings(self.expected)}; found{found}"
        subject = self.place if self.field is None else written(self.field, self.value)
        return body if subject is None else f"{subject}: {body}"


class ConfigError(FieldError):
    """Something is wrong in flags or flagfiles; the programs exit with 2."""

    exit_status = 2


class RunError(FieldError):
    """Something is wrong that only the run could find; the programs exit with 1."""


class MissingSplitError(RunError):
    """A data set has no split of the name asked for.

    Args:
        splits: names of the splits that it has.
        **parts: as of every `RunError`.
    """

    def __init__(self, text: object = "", *, splits: Iterable[str] = (), **parts: Any) -> None:
        super().__init__(text, **parts)
        self.splits = tuple(splits)


@contextlib.contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Names arguments as the caller knows them, in errors that are raised inside.

    `renamed(path="model")` makes of the argument `path` of a function the setting `model` that
    was handed to it.

    Example:
        >>> with renamed(path="model"):
        ...     raise RunError(field="path", expected="a file", found="none")
        Traceback (most recent call last):
        ascl_tf.errors.RunError: `model`: expected a file; found none
    """
    try:
        yield
    except FieldError as error:
        error.rename(names)
        raise
