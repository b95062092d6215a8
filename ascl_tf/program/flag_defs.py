"""absl flags made from the fields of a dataclass, and configs made from flags.

Flags live in a `FlagValues` of their own, not in absl's global one: importing a
program defines nothing, and two programs can share a flag's name.
"""

import contextlib
import dataclasses
import inspect
import os
import pathlib
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from absl import flags

from ascl_tf.config import STAGES, Fraction, paths
from ascl_tf.config.setting import AUTO
from ascl_tf.errors import ConfigError
from ascl_tf.process import signals
from ascl_tf.process.terminal import escape_unprintable
from ascl_tf.program.flag_help import describe_flags, topics_of
from ascl_tf.program.flagfiles import expand_flagfiles
from ascl_tf.program.messages import one_line

HELP, HELP_FULL = "help", "helpfull"
PROGRAM_FLAGS = (HELP, HELP_FULL, "debug")


class FractionParser(flags.ArgumentParser[Fraction]):
    """Parses 8/255 or 0.03 and keeps the text."""

    syntactic_help = "a number or a fraction such as 8/255"

    def parse(self, argument: Any) -> Fraction:
        return Fraction(argument)

    def flag_type(self) -> str:
        return "fraction"


class AutoParser(flags.ArgumentParser[Any]):
    """Takes the word `auto` beside what another parser takes."""

    def __init__(self, parser: flags.ArgumentParser[Any]) -> None:
        super().__init__()
        self._parser = parser
        self.syntactic_help = f"{parser.syntactic_help}, or {AUTO}"

    def parse(self, argument: Any) -> Any:
        return AUTO if argument == AUTO else self._parser.parse(argument)

    def flag_type(self) -> str:
        return self._parser.flag_type()


class PathParser(flags.ArgumentParser[str]):
    """Takes the text of a flag that holds paths, and puts home folders in place of `~`.

    Args:
        kind: one of `ascl_tf.config.paths`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def parse(self, argument: str) -> str:
        return paths.expand(argument, self._kind)

    def flag_type(self) -> str:
        return "path"


def define_flags(*sections: type, values: flags.FlagValues | None = None) -> flags.FlagValues:
    """Returns flag values with one flag per field of the given dataclasses."""
    values = flags.FlagValues() if values is None else values
    for section in sections:
        for field in dataclasses.fields(section):
            _define(field, section.__module__, values)
    return values


def define_program_flags(values: flags.FlagValues) -> None:
    """Adds `PROGRAM_FLAGS`, which every program has."""
    texts = "Show the flags that you need first.", "Show all flags.", "Show tracebacks of errors."
    for name, text in zip(PROGRAM_FLAGS, texts, strict=True):
        short_name = "?" if name == HELP else None
        flags.DEFINE_boolean(name, False, text, short_name=short_name, flag_values=values)


def wants_help(
    values: flags.FlagValues, usage: str, *sections: type, basic: Sequence[str] = ()
) -> bool:
    """Prints usage and flags if --help or --helpfull was given; returns whether one was.

    Args:
        values: the flags.
        usage: what stands before them.
        *sections: the dataclasses that they were made from, one for each topic.
        basic: the flags that `--help` shows.
    """
    is_full = bool(values[HELP_FULL].value)
    if is_full or values[HELP].value:
        topics = topics_of(*sections)
        print(f"{usage}\n{describe_flags(values, topics, None if is_full else basic)}")
        if not is_full:
            print(f"\nAll flags: --{HELP_FULL}")
    return is_full or bool(values[HELP].value)


def parse(
    values: flags.FlagValues, argv: Sequence[str], rest: list[str] | None = None
) -> dict[str, Any]:
    """Parses a command line and returns what it sets, and only that.

    Args:
        values: the flags.
        argv: the command line.
        rest: takes what is no flag, such as names of files; None: there must be none.

    Raises:
        ConfigError: on anything that absl refuses, in one line.
    """
    can_stand_alone = {name: values[name].boolean for name in values}
    values.set_gnu_getopt(rest is not None)  # Flags may stand behind names.
    try:
        found_rest = values([argv[0], *expand_flagfiles(argv[1:], can_stand_alone)])[1:]
    except flags.Error as error:
        raise ConfigError(_explain(error, values)) from None
    if rest is not None:
        rest += found_rest
    elif found_rest:
        raise ConfigError(
            f"command line: expected only flags such as --seed=1; found {found_rest[0]!r}"
        )
    found = {name: values[name].value for name in values if values[name].present}
    for name, value in found.items():
        # What follows a flag without a value is taken for its value.
        if isinstance(value, str) and value.startswith("--"):
            raise ConfigError(f"--{name}: expected a value; found the flag {value}")
    return found


def on_command_line(values: flags.FlagValues, argv: Sequence[str]) -> set[str]:
    """Returns the flags that a command line sets itself, not by a flagfile."""
    given = (argument for argument in argv[1:] if argument.startswith("-"))
    names = {argument.partition("=")[0].lstrip("-") for argument in given}
    return {name for name in values if name in names or f"no{name}" in names}


def parse_program(
    config: type,
    argv: Sequence[str],
    usage: str,
    rest: list[str] | None = None,
    basic: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Returns which fields of the dataclass `config` a command line sets, flag by flag.

    None where it only asked for help, which was printed then. `rest` as of `parse`, `usage` and
    `basic` as of `wants_help`; without `basic` it is the flags that `config` does not inherit.
    """
    values = define_flags(config)
    define_program_flags(values)
    settings = parse(values, argv, rest)
    if wants_help(values, usage, config, basic=basic or list(inspect.get_annotations(config))):
        return None
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in settings.items() if name in names}


def run_program(
    main: Callable[[Sequence[str]], None],
    argv: Sequence[str] | None = None,
    go_on: Callable[[Sequence[str]], Sequence[str]] = list,
) -> None:
    """Runs `main(argv)`; a user's mistake becomes one line and the right exit status.

    So does a signal: 130 after Ctrl-C, 143 after SIGTERM where the program listens to it. A reader
    of standard output that has gone, as `head` does, ends it without a word: 141.
    `--debug` anywhere on the command line shows the traceback as well.

    Args:
        main: what the program does.
        argv: command line; None: the process's own.
        go_on: callable argv -> the command line that goes on after a signal, where it is
            another one.
    """
    argv = sys.argv if argv is None else argv
    escape_unprintable()
    try:
        main(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # Else Python flushes once more at its end, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt as stop:
        _exit_stopped(stop, go_on(argv))
    except ValueError as error:
        status = getattr(error, "exit_status", None)
        if status is None:
            raise
        if any(re.fullmatch("--?debug(=(true|t|1|yes|y))?", argument, re.I) for argument in argv):
            traceback.print_exc()
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(status)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """For the imports of a program, which take seconds: a signal is one line here, too."""
    with signals.listening():
        try:
            yield
        except KeyboardInterrupt as stop:
            _exit_stopped(stop, sys.argv)


def _exit_stopped(stop: KeyboardInterrupt, argv: Sequence[str]) -> NoReturn:
    number = getattr(stop, "number", signal.SIGINT)
    name = signal.Signals(number).name
    print(f"stopped by {name}; to continue: {_command(argv)}", file=sys.stderr)
    sys.exit(128 + number)


def _command(argv: Sequence[str]) -> str:
    """Returns a command line as it can be typed again."""
    path = pathlib.PurePath(argv[0])
    program = ["python", "-m", f"ascl_tf.{path.stem}"] if path.suffix == ".py" else [str(path)]
    if path.parent.name == "tools":
        program = ["python", f"tools/{path.name}"]
    return shlex.join([*program, *argv[1:]])


def _define(field: "dataclasses.Field[Any]", module: str, values: flags.FlagValues) -> None:
    default: Any = field.default
    choices = field.metadata["choices"]
    help_text = field.metadata["help"] + _stage_help(field.metadata["stages"])
    common = {"flag_values": values, "help": help_text}
    if choices:
        flags.DEFINE_enum(field.name, default, list(choices), **common)
    elif isinstance(default, bool):
        flags.DEFINE_boolean(field.name, default, **common)
    elif field.metadata["path"] or field.metadata["is_auto"] or isinstance(default, Fraction):
        default = AUTO if field.metadata["is_auto"] else default
        serializer: flags.ArgumentSerializer[Any] = flags.ArgumentSerializer()
        flags.DEFINE(
            _parser_of(field),
            field.name,
            default,
            serializer=serializer,
            module_name=module,
            **common,
        )
    elif isinstance(default, int):
        flags.DEFINE_integer(field.name, default, **common)
    elif isinstance(default, float):
        flags.DEFINE_float(field.name, default, **common)
    else:
        flags.DEFINE_string(field.name, default, **common)


def _parser_of(field: "dataclasses.Field[Any]") -> "flags.ArgumentParser[Any]":
    if field.metadata["path"]:
        return PathParser(field.metadata["path"])
    is_fraction = isinstance(field.default, Fraction)
    number: Any = FractionParser() if is_fraction else flags.FloatParser()
    return AutoParser(number) if field.metadata["is_auto"] else number


def _stage_help(stages: tuple[str, ...]) -> str:
    return "" if tuple(stages) == STAGES else f" (stage: {', '.join(stages)})"


def _explain(error: Exception, values: flags.FlagValues) -> str:
    """Returns what absl refuses, in the form of the other messages where it can be told."""
    text = one_line(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        near = text.partition("Did you mean: ")[2].removesuffix("?").strip()
        hint = f" (near it: --{near.replace(', ', ', --')})" if near else ""
        return f"--{error.flagname}: expected a known flag{hint}; found an unknown one"
    match = re.match(r"flag --(\w+)=(.*?): ", text)
    if match and match[1] in values and isinstance(values[match[1]].parser, PathParser):
        return f"--{match[1]}: {text.removeprefix(match[0])}"
    if match and match[1] in values:
        return f"--{match[1]}: expected {accepted(values[match[1]].parser)}; found {match[2]!r}"
    return text


def accepted(parser: "flags.ArgumentParser[Any]") -> str:
    """Returns what a flag takes, in words."""
    choices = getattr(parser, "enum_values", None)
    if choices:
        return f"one of {', '.join(choices)}"
    return "true or false" if parser.flag_type() == "bool" else parser.syntactic_help
