"""What a setting is: a dataclass field with default, help, range, and the stages that use it.

The settings themselves are in sections.py and methods/*_spec.py. No TensorFlow here.
"""

import dataclasses
import math
import numbers
import os
from typing import Any

from ascl_tf.errors import ConfigError, RunError

PRETRAIN, FINETUNE, EVALUATE, EXPORT, ALL = "pretrain", "finetune", "evaluate", "export", "all"
STAGES = (PRETRAIN, FINETUNE, EVALUATE, EXPORT)
RADIUS_HELP = "as a fraction such as 8/255, in [0, 1] pixel units"


class Fraction(float):
    """A float that remembers how it was written, such as 8/255.

    Example:
        >>> radius = Fraction("8/255")
        >>> radius, radius == 8 / 255
        (8/255, True)
    """

    text: str

    def __new__(cls, value: "str | float") -> "Fraction":
        if isinstance(value, Fraction):
            return value
        text = str(value).strip()
        number = super().__new__(cls, _parse_fraction(text))
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # Pickled as its text.
        return (self.text,)


def _parse_fraction(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"expected a number or a fraction such as 8/255; found {text!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number; found {text!r}")
    return value


# Stands for a setting that is not given and depends on others, see auto.py.
AUTO = "auto"


def setting(
    default: Any,
    help: str,
    *,
    is_auto: bool = False,
    stages: tuple[str, ...] = STAGES,
    choices: tuple[str, ...] | None = None,
    path: str = "",
    above: float | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    is_identity: bool = True,
    only_own_methods: bool = False,
    smoke: Any = None,
    smoke_maximum: float | None = None,
) -> Any:
    """Returns a dataclass field that carries what flags and checks need.

    Args:
        is_auto: whether it depends on others where it is not given, see auto.py; `default` is then
            what it usually is.
        stages: the stages whose results depend on this field.
        choices: the allowed values of a closed choice.
        path: what of the text is a path, a kind of `config.paths`; empty: nothing.
        above, minimum, maximum: bounds; `above` is exclusive.
        is_identity: whether a run with another value is another run. Where files and other
            runs lie and how often progress is written are no part of a run's identity: what
            it has found there is known by its hash, see training/provenance.py.
        only_own_methods: whether another value than the default is refused for methods that do
            not have this setting.
        smoke: the value under `--smoke`; None: as it is.
        smoke_maximum: the largest value under `--smoke`; None: as it is.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class MySettings:
        ...     pairing_weight: float = setting(0.5, "Weight of the pairing term.", minimum=0)
        >>> MySettings()
        MySettings(pairing_weight=0.5)
    """
    metadata = {
        "help": help,
        "is_auto": is_auto,
        "stages": stages,
        "choices": choices,
        "bounds": {"above": above, "minimum": minimum, "maximum": maximum},
        "path": path,
        "is_identity": is_identity,
        "only_own_methods": only_own_methods,
        "smoke": smoke,
        "smoke_maximum": smoke_maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


def like_run_setting(section: type, name: str) -> Any:
    """Returns a field like `name` of a training run's `section`, used by a program as a whole."""
    field = {field.name: field for field in dataclasses.fields(section)}[name]
    return dataclasses.field(default=field.default, metadata={**field.metadata, "stages": STAGES})


def plain_value(value: Any) -> Any:
    """Returns a setting's value as JSON has it; fractions as they were written."""
    return value.text if isinstance(value, Fraction) else value


def value_from_json(field: "dataclasses.Field[Any]", value: Any, source: str) -> Any:
    """Returns a setting's value as read from JSON; RunError names `source` if it cannot be."""
    expected = type(field.default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if expected is float and is_number:
        try:
            return float(value)
        except OverflowError as error:
            raise RunError(f"{source}: {field.name}: expected a float; found {error}") from None
    if expected is Fraction and (is_number or isinstance(value, str)):
        try:
            return Fraction(value)
        except ValueError as error:
            raise RunError(f"{source}: {field.name}: {error}") from None
    # A bool is an int to Python, but not to a reader of the file.
    if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
        raise RunError(
            f"{source}: expected {field.name} to be {expected.__name__}; found {value!r}"
        )
    return value


_KINDS: dict[type, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (numbers.Integral, "an integer"),
    float: (numbers.Real, "a number"),
    Fraction: (numbers.Real, "a number, or text such as '8/255'"),
    str: (str, "text"),
}


def typed_value(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """Returns a setting's value as its type; text of a fraction and paths become what they mean.

    Raises:
        ConfigError: if it is of another type.
    """
    expected = type(field.default)
    kind, words = _KINDS[expected]
    if expected is Fraction and isinstance(value, str):
        try:
            return Fraction(value)
        except ValueError:
            raise ConfigError(field=field.name, expected=words, found=repr(value)) from None
    if field.metadata["path"] and isinstance(value, os.PathLike):
        return os.fspath(value)
    # A bool is an int to Python, but not to a reader.
    if not isinstance(value, kind) or isinstance(value, bool) != (expected is bool):
        raise ConfigError(field=field.name, expected=words, found=repr(value))
    if isinstance(value, (bool, int, float, str)):
        return value
    number: Any = value  # Of NumPy.
    return int(number) if expected is int else float(number)


def check_setting(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Raises ConfigError, naming the flag, unless `value` is a choice and within the bounds."""
    choices, bounds = field.metadata["choices"], field.metadata["bounds"]
    if choices is not None and value not in choices:
        expected = f"one of {', '.join(choices)}"
        raise ConfigError(field=field.name, expected=expected, found=repr(value))
    if any(bound is not None for bound in bounds.values()):
        # An int is finite, and may be too large to ask.
        is_finite = isinstance(value, int) or math.isfinite(value)
        if not (is_finite and _is_within(value, **bounds)):
            hint = f" ({RADIUS_HELP})" if isinstance(field.default, Fraction) else ""
            expected = f"{_describe(**bounds)}{hint}"
            raise ConfigError(field=field.name, expected=expected, found=value)


def _is_within(
    value: float, above: float | None, minimum: float | None, maximum: float | None
) -> bool:
    return (
        (above is None or value > above)
        and (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum)
    )


def _describe(above: float | None, minimum: float | None, maximum: float | None) -> str:
    parts = [f"> {above:g}"] if above is not None else []
    parts += [f">= {minimum:g}"] if minimum is not None else []
    parts += [f"<= {maximum:g}"] if maximum is not None else []
    return "a number " + " and ".join(parts)
