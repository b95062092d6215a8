"""Named protocols: the only place where an attack that makes a number has its numbers.

A protocol is data. Which function carries out its `kind` stands in
`evaluation/batch_attacks.py`. Radii and steps are kept as they are written
(`8/255`), since that is how they are quoted and recorded.
"""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from typing import Any

from ascl_tf.config import VARIANT, Fraction
from ascl_tf.config.sections import LARGEST_RADIUS
from ascl_tf.errors import ConfigError, near_names
from ascl_tf.evaluation.variants import NUMBERS, make_variant, numbers_in

# What `--protocol` takes beside protocols: each gives not one number but several.
SWEEP_STEPS, SWEEP_EPSILON = "sweep_steps", "sweep_epsilon"
COMMON_CORRUPTIONS = "corruptions"
SERIES = {
    SWEEP_STEPS: "curve over the steps of PGD, 0 to 100",
    SWEEP_EPSILON: "curve over the radius of PGD, 0 to 32/255",
    COMMON_CORRUPTIONS: "accuracy on common corruptions",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A fixed attack under a name, so that equal names mean equal numbers.

    Attributes:
        name: what `--protocol` and records call it.
        kind: which attack; a key of `batch_attacks.ATTACKS`, or `autoattack`.
        epsilon: radius of the ball in [0, 1] pixel units, as text or number.
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
            radius = _as_pixel_units(field, getattr(self, field), LARGEST_RADIUS[self.norm])
            object.__setattr__(self, field, radius)
        for field, least in (("num_steps", 0), ("num_restarts", 1)):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"`{field}` must be an integer >= {least}; received {value!r}.")
        object.__setattr__(self, "options", types.MappingProxyType(dict(self.options)))

    @property
    def norm(self) -> str:
        """Norm of the ball: of AutoAttack an option, else part of the kind."""
        return norm_of(self.kind, self.options)

    @property
    def own_numbers(self) -> tuple[str, ...]:
        """Names of the numbers that a variant may have of its own."""
        # Of AutoAttack the version says all others; one step of the radius is what fgm is.
        few: dict[str, tuple[str, ...]] = {"autoattack": NUMBERS[:1], "cleverhans_fgm": NUMBERS[:1]}
        return () if self.kind == "none" else few.get(self.kind, NUMBERS)

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


def norm_of(kind: str, options: Mapping[str, Any]) -> str:
    """Returns the norm of an attack's ball, `linf` or `l2`, of what a record says of it, too."""
    return str(options.get("norm", "l2" if kind == "l2_pgd" else "linf"))


def get_protocol(name: str, also: Iterable[str] = ()) -> Protocol:
    """Returns the protocol called `name`, or a variant of one: other numbers behind an @.

    Args:
        name: text.
        also: what else may stand there, for the message.

    Raises:
        ConfigError: if there is none; lists the known ones and the nearest. Or if the protocol
            has no number that a variant says, or if it is out of range.

    Example:
        >>> protocol = get_protocol("pgd20")
        >>> protocol.epsilon, protocol.step_size, protocol.num_steps
        (8/255, 2/255, 20)
        >>> protocol = get_protocol("pgd20@epsilon=4/255,num_steps=50")
        >>> protocol.epsilon, protocol.step_size, protocol.num_steps
        (4/255, 2/255, 50)
    """
    base, at, _ = name.partition(VARIANT) if isinstance(name, str) else ("", "", "")
    if base in PROTOCOLS:
        return make_variant(PROTOCOLS[base], numbers_in(name), {}) if at else PROTOCOLS[base]
    hint = near_names(base or name, PROTOCOLS, count=1)
    expected = f"one of {', '.join([*sorted(PROTOCOLS), *also])}"
    raise ConfigError(field="protocol", expected=expected, found=f"{name!r}{hint}")


def get_protocol_or_series(name: str) -> Protocol | str:
    """Returns the `Protocol` called `name`, or `name` itself if it is one of `SERIES`.

    Raises:
        ConfigError: if it is neither; lists the known names and the nearest protocol.
    """
    return name if name in SERIES else get_protocol(name, also=SERIES)


def vary(protocol: Protocol, **numbers: float) -> Protocol:
    """Returns the variant of a protocol, or of a variant, with these numbers.

    Args:
        protocol: one of `PROTOCOLS`, or a variant of one.
        **numbers: any of `epsilon`, `step_size` and `num_steps`.

    Raises:
        ConfigError: as `get_protocol`, but names the number; or if the protocol's name says it.
    """
    said = numbers_in(protocol.name)
    for name in set(numbers) & set(said):
        expected = "a protocol whose name does not say it"
        raise ConfigError(field=name, expected=expected, found=protocol.name)
    base = PROTOCOLS[protocol.name.partition(VARIANT)[0]]
    texts = said | {name: str(value) for name, value in numbers.items()}
    return make_variant(base, texts, {name: name for name in numbers})


def describe_protocols() -> str:
    """Returns a line for each protocol, and for each of `SERIES`: its name, and what it does."""
    lines = {name: describe(protocol) for name, protocol in PROTOCOLS.items()} | SERIES
    width = max(map(len, lines))
    return "\n".join(f"{name:{width}}  {line}" for name, line in lines.items())


def describe(protocol: Protocol) -> str:
    """Returns what a protocol does, in a few words."""
    ball = f"{protocol.norm} ball of {protocol.epsilon}"
    if protocol.kind == "none":
        return "no attack"
    if protocol.kind == "autoattack":
        return f"AutoAttack ({protocol.options['version']}), {ball}"
    name = "PGD" if protocol.kind.endswith("_pgd") else protocol.kind.removeprefix("cleverhans_")
    by = "cleverhans' " if protocol.library == "cleverhans" else ""
    steps = "1 step" if protocol.num_steps == 1 else f"{protocol.num_steps} steps"
    start = ", uniform start" if protocol.random_start else ""
    return f"{by}{name}, {ball}, {steps} of {protocol.step_size}{start}"


def _as_pixel_units(field: str, value: str | float, largest: float) -> Fraction:
    try:
        value = Fraction(value)
    except ValueError as error:
        raise ValueError(f"`{field}`: {error}.") from error
    if not 0 <= value <= largest:
        raise ValueError(
            f"`{field}` must be in [0, {largest:g}] pixel units, such as 8/255; "
            f"received {value.text}."
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
    # The l2 ball of Rice et al. 2020 (arXiv:2002.11569), whose steps are 15/255.
    dataclasses.replace(
        _PGD20,
        name="pgd20_l2",
        kind="l2_pgd",
        epsilon=Fraction("128/255"),
        step_size=Fraction("15/255"),
    ),
    # Croce and Hein 2020: every number stands in attacks/autoattack_versions.py.
    Protocol(
        name="autoattack",
        kind="autoattack",
        epsilon=Fraction("8/255"),
        num_steps=100,
        random_start=True,
        options={"version": "standard"},
    ),
    # The l2 radius of RobustBench (Croce et al. 2021).
    Protocol(
        name="autoattack_l2",
        kind="autoattack",
        epsilon=Fraction("0.5"),
        num_steps=100,
        random_start=True,
        options={"version": "standard", "norm": "l2"},
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
