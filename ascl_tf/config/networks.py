"""Names of networks, as `--encoder` has them. No TensorFlow."""

import re
from typing import NamedTuple

from ascl_tf.config.pretrained import PREFIX
from ascl_tf.errors import ConfigError, near_names

RESNET, PREACT_RESNET = "resnet", "preact_resnet"
# Of these `depth` is a setting of its own.
DEPTHS = {RESNET: (18, 34, 50), PREACT_RESNET: (18, 34)}
DEFAULT_DEPTH, DEFAULT_STEM = 18, "auto"
KERAS_FILE = ".keras"
# In front of the class of a model that was given from Python and could not be kept in a file.
GIVEN = "given:"
_WIDE = re.compile(r"wide_resnet_([1-9]\d{0,3})_([1-9]\d{0,3})")


class WideName(NamedTuple):
    """What the name of a wide ResNet says."""

    depth: int
    factor: int


def parse_wide(name: str) -> WideName | None:
    """Returns depth and widening factor in a name such as wide_resnet_28_10, None in others."""
    found = _WIDE.fullmatch(name)
    wide = WideName(int(found[1]), int(found[2])) if found else None
    return wide if wide and wide.depth >= 10 and wide.depth % 6 == 4 else None


def is_file(name: str) -> bool:
    """Returns whether `--encoder` is a .keras file."""
    return name.endswith(KERAS_FILE)


def is_own(name: str) -> bool:
    """Returns whether `--encoder` is a user's function or file, and no network of the package."""
    return is_file(name) or ":" in name


def is_given(name: str) -> bool:
    """Returns whether `--encoder` is a model that only the Python program at hand has."""
    return name.startswith(GIVEN)


def check_encoder(name: str, depth: int, stem: str) -> None:
    """Raises ConfigError for an unknown network, and for settings that it would ignore."""
    if name.startswith(PREFIX):
        expected = "a network to train; a trained one is the start of training"
        found = f"{name} (`initial_encoder={name}` or `pretrained={name}`)"
        raise ConfigError(field="encoder", expected=expected, found=found)
    if not (name in DEPTHS or parse_wide(name) or is_own(name)):
        raise ConfigError(
            field="encoder",
            expected="resnet, preact_resnet, wide_resnet_<depth>_<factor> with a depth of 10, 16, "
            "22, 28, ..., my_package.my_file:make_encoder, or a .keras file",
            found=f"{name!r}{near_names(name, (*DEPTHS, 'wide_resnet_28_10'))}",
        )
    depths = DEPTHS.get(name, (DEFAULT_DEPTH,))
    if depth not in depths:
        *others, last = map(str, depths)
        expected = f"{', '.join(others)} or {last}" if others else "no depth beside the encoder's"
        found = f"{depth} with `encoder={name}`"
        raise ConfigError(field="depth", expected=expected, found=found)
    if is_own(name) and stem != DEFAULT_STEM:
        raise ConfigError(
            field="stem",
            value=stem,
            expected="a network of the package",
            found=f"`encoder={name}`, which has layers of its own",
        )
