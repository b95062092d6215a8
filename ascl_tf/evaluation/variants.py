"""Variants of protocols: other numbers under a name that says them, pgd20@epsilon=4/255."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ascl_tf.config import VARIANT, Fraction
from ascl_tf.config.sections import LARGEST_RADIUS
from ascl_tf.config.setting import RADIUS_HELP
from ascl_tf.errors import ConfigError

if TYPE_CHECKING:
    from ascl_tf.evaluation.protocols import Protocol

# Those that a variant may have of its own, in the order in which its name says them.
NUMBERS = ("epsilon", "step_size", "num_steps")
_MOST_STEPS = 1_000_000


def numbers_in(name: str) -> dict[str, str]:
    """Returns the numbers that a variant's name says, by their names; {} of another name."""
    _, at, text = name.partition(VARIANT)
    numbers: dict[str, str] = {}
    for piece in text.split(",") if at else ():
        number, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or number in numbers:
            expected = "a variant with each number once, such as pgd20@epsilon=4/255,num_steps=50"
            raise ConfigError(field="protocol", expected=expected, found=repr(name))
        numbers[number] = value
    return numbers


def make_variant(
    protocol: "Protocol", texts: Mapping[str, str], fields: Mapping[str, str]
) -> "Protocol":
    """Returns a protocol with other numbers, called by the protocol's name and by these.

    A step that is as long as the radius stays so, unless it has a number of its own.

    Args:
        protocol: a `Protocol` that is no variant.
        texts: numbers by name, as they are written.
        fields: which setting says a number, where it is not `protocol` itself.

    Raises:
        ConfigError: naming that setting, if the protocol has no such number, or if it is out of
            range.
    """
    field_of = {name: fields.get(name, "protocol") for name in texts}
    values = {name: _as_number(protocol, name, texts[name], field_of[name]) for name in texts}
    said = ",".join(f"{name}={values[name]}" for name in NUMBERS if name in values)
    if "epsilon" in values and protocol.step_size == protocol.epsilon:
        values.setdefault("step_size", values["epsilon"])
    made = dataclasses.replace(protocol, name=f"{protocol.name}{VARIANT}{said}", **values)
    if made.library == "cleverhans" and made.step_size > made.epsilon:
        raise ConfigError(
            field=field_of.get("step_size") or field_of["epsilon"],
            expected=f"step_size of {protocol.name} to be at most epsilon {made.epsilon}",
            found=made.step_size,
        )
    return made


def _as_number(protocol: "Protocol", name: str, text: str, field: str) -> Any:
    """Returns what a number's text says."""
    if name not in protocol.own_numbers:
        known = f"{' or '.join(protocol.own_numbers) or 'no number'} for {protocol.name}"
        raise ConfigError(field=field, expected=known, found=f"{name}={text}")
    number: Fraction | int | None
    largest: float
    if name == "num_steps":
        number, largest = _as_integer(text), _MOST_STEPS
        expected = f"an integer from 1 to {_MOST_STEPS}"
    else:
        number, largest = _as_fraction(text), LARGEST_RADIUS[protocol.norm]
        expected = f"a number > 0 and <= {largest:g} ({RADIUS_HELP})"
    if number is None or not 0 < number <= largest:
        expected = f"{name} of {protocol.name} to be {expected}"
        raise ConfigError(field=field, expected=expected, found=repr(text))
    return number


def _as_integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _as_fraction(text: str) -> Fraction | None:
    with contextlib.suppress(ValueError):
        return Fraction(text)
    return None
