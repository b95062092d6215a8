"""What protocols there are, for `--help` and for `--protocol=help`."""

from collections.abc import Mapping
from typing import Any

from ascl_tf.evaluation.protocols import describe_protocols

_HEADING = "Protocols for --protocol (with other numbers: pgd20@epsilon=4/255):"


def with_protocols(usage: str) -> str:
    """Returns the usage of a program, followed by the list of the protocols."""
    return f"{usage}\n{_HEADING}\n{describe_protocols()}\n"


def wants_protocols(settings: Mapping[str, Any]) -> bool:
    """Prints the list of the protocols if a flag asks for it; returns whether one did.

    Args:
        settings: what the command line sets, by flag.
    """
    is_asked = "help" in (settings.get("protocol"), settings.get("validation_protocol"))
    if is_asked:
        print(describe_protocols())
    return is_asked
