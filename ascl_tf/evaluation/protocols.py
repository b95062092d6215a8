"""Named protocols: the only place where an attack that makes a number has its numbers.

A protocol is data. Which function carries out its `kind` stands in
`evaluation/batch_attacks.py`. Radii and steps are kept as they are written
(`8/255`), since that is how they are quoted and recorded.
"""

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any

from ascl_tf.config import Fraction
from ascl_tf.errors import ConfigError

# What `--protocol` takes beside protocols: each gives not one number but several.
SWEEP_STEPS, SWEEP_EPSILON = "sweep_steps", "sweep_epsilon"
COMMON_CORRUPTIONS = "corruptions"
SERIES = (SWEEP_STEPS, SWEEP_EPSILON, COMMON_CORRUPTIONS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A fixed attack under a name, so that equal names mean equal numbers.

    Attributes:
        name: what `--protocol` and records call it.
        kind: which attack; a key of `batch_attacks.ATTACKS`, or `autoattack`.
        epsilon: radius of the l-infinity ball in [0, 1] pixel units, as text or number.
        step_size: length of one step, same unit.
        num_steps: number of gradient steps.
        random_start: whether each attack starts from a uniform point of the ball.
        num_restarts: attacks per image; the image counts as robust if it survives all.
        library: whose implementation attacks, `ascl_tf` or `cleverhans`.
        options: further settings of this kind of attack, recorded with the rest.

    Raises:
        ValueError: if a setting is out of range.
    """

    name: str
    kind: str
    epsilon: Fraction = Fraction("0")
    step_size: Fraction = Fraction("0")
    num_steps: int = 0
    random_start: bool = False
    num_restarts: int = 1
    library: str = "ascl_tf"
    options: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in ("epsilon", "step_size"):
            object.__setattr__(self, field, _as_pixel_units(field, getattr(self, field)))
        for field, least in (("num_steps", 0), ("num_restarts", 1)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"`{field}` must be an integer >= {least}; received {value!r}.")
        object.__setattr__(self, "options", types.MappingProxyType(dict(self.options)))

    def settings(self) -> dict[str, Any]:
        """Returns every setting but the name, ready for JSON, radii as written."""
        return {
            "kind": self.kind,
            "library": self.library,
            "epsilon": self.epsilon.text,
            "step_size": self.step_size.text,
            "num_steps": self.num_steps,
            "random_start": self.random_start,
            "num_restarts": self.num_restarts,
            "options": dict(self.options),
        }


def get_protocol(name: str, also: Iterable[str] = ()) -> Protocol:
    """Returns the protocol called `name`.

    Args:
        name: text.
        also: what else may stand there, for the message.

    Raises:
        ConfigError: if there is none; lists the known ones and the nearest.

    Example:
        >>> protocol = get_protocol("pgd20")
        >>> protocol.epsilon, protocol.step_size, protocol.num_steps
        (8/255, 2/255, 20)
    """
    if isinstance(name, str) and name in PROTOCOLS:
        return PROTOCOLS[name]
    nearest = difflib.get_close_matches(str(name), PROTOCOLS, n=1, cutoff=0.4)
    hint = f" (near it: {nearest[0]})" if nearest else ""
    expected = f"one of {', '.join([*sorted(PROTOCOLS), *also])}"
    raise ConfigError(field="protocol", expected=expected, found=f"{name!r}{hint}")


def get_protocol_or_series(name: str) -> Protocol | str:
    """Returns the `Protocol` called `name`, or `name` itself if it is one of `SERIES`.

    Raises:
        ConfigError: if it is neither; lists the known names and the nearest protocol.
    """
    return name if name in SERIES else get_protocol(name, also=SERIES)


def _as_pixel_units(field: str, value: str | float) -> Fraction:
    try:
        value = Fraction(value)
    except ValueError as error:
        raise ValueError(f"`{field}`: {error}.") from error
    if not 0 <= value <= 1:
        raise ValueError(
            f"`{field}` must be in [0, 1] pixel units, such as 8/255; received {value.text}."
        )
    return value


# The paper's PGD attack (section 4): 20 steps of 2/255 from a uniform start.
_PGD20 = Protocol(
    name="pgd20",
    kind="linf_pgd",
    epsilon=Fraction("8/255"),
    step_size=Fraction("2/255"),
    num_steps=20,
    random_start=True,
)

STANDARD = Protocol(name="standard", kind="none")

_ALL = (
    STANDARD,
    # Goodfellow et al. 2015: one step of the whole radius.
    dataclasses.replace(
        _PGD20, name="fgsm", step_size=Fraction("8/255"), num_steps=1, random_start=False
    ),
    dataclasses.replace(_PGD20, name="pgd10", num_steps=10),
    _PGD20,
    dataclasses.replace(_PGD20, name="pgd20_eps16", epsilon=Fraction("16/255")),
    # RoCL's convention (Kim et al. 2020): steps of a tenth of the radius.
    dataclasses.replace(_PGD20, name="pgd20_step_tenth", step_size=Fraction("0.8/255")),
    dataclasses.replace(_PGD20, name="pgd100", num_steps=100),
    # Croce and Hein 2020: every number stands in attacks/autoattack_versions.py.
    Protocol(
        name="autoattack",
        kind="autoattack",
        epsilon=Fraction("8/255"),
        num_steps=100,
        random_start=True,
        options={"version": "standard"},
    ),
    # Its two strongest attacks alone; not the published evaluation.
    Protocol(
        name="autoattack_fast",
        kind="autoattack",
        epsilon=Fraction("8/255"),
        num_steps=100,
        random_start=True,
        options={"version": "fast"},
    ),
    Protocol(
        name="cleverhans_fgm",
        kind="cleverhans_fgm",
        library="cleverhans",
        epsilon=Fraction("8/255"),
        step_size=Fraction("8/255"),
        num_steps=1,
    ),
    # Kurakin et al. 2017: steps of 1/255, min(8 + 4, 1.25 * 8) = 10 of them.
    Protocol(
        name="cleverhans_bim",
        kind="cleverhans_bim",
        library="cleverhans",
        epsilon=Fraction("8/255"),
        step_size=Fraction("1/255"),
        num_steps=10,
    ),
    # Dong et al. 2018: ten steps of a tenth of the radius, decay 1.
    Protocol(
        name="cleverhans_mim",
        kind="cleverhans_mim",
        library="cleverhans",
        epsilon=Fraction("8/255"),
        step_size=Fraction("0.8/255"),
        num_steps=10,
        options={"decay_factor": 1.0},
    ),
    # Madry et al. 2018, CIFAR-10: seven steps of 2/255 from a uniform start.
    dataclasses.replace(
        _PGD20,
        name="cleverhans_madry",
        kind="cleverhans_madry",
        library="cleverhans",
        num_steps=7,
    ),
    dataclasses.replace(
        _PGD20, name="cleverhans_pgd20", kind="cleverhans_pgd", library="cleverhans"
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
