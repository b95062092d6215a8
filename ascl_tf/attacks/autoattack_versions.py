"""Attacks in each named version of AutoAttack, with all their numbers."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ascl_tf.attacks.apgd import CLASSES_NEEDED


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedAttack:
    """One attack of an ensemble.

    Attributes:
        name: name of the attack in results.
        kind: `apgd`, `fab` or `square`.
        loss: loss of APGD.
        num_steps: gradient steps in one run (APGD, FAB).
        num_queries: queries in one run (Square).
        num_restarts: runs, or runs for each target class.
        num_targets: target classes, at most the number of classes minus one; 0: not targeted.
        eot_iter: gradients averaged per step (APGD).
    """

    name: str
    kind: str
    loss: str = "ce"
    num_steps: int = 100
    num_queries: int = 5000
    num_restarts: int = 1
    num_targets: int = 0
    eot_iter: int = 1

    @property
    def num_runs(self) -> int:
        """Number of runs on an image at once: one for each target."""
        return max(self.num_targets, 1)

    @property
    def needs_gradient(self) -> bool:
        """Whether the classifier must be differentiable."""
        return self.kind != "square"


ATTACKS = {
    attack.name: attack
    for attack in (
        PlannedAttack(name="apgd-ce", kind="apgd"),
        PlannedAttack(name="apgd-dlr", kind="apgd", loss="dlr"),
        PlannedAttack(name="apgd-t", kind="apgd", loss="targeted_dlr", num_targets=9),
        PlannedAttack(name="fab", kind="fab"),
        PlannedAttack(name="fab-t", kind="fab", num_targets=9),
        PlannedAttack(name="square", kind="square"),
    )
}

# What a custom ensemble may change; targeted attacks have `num_targets` as well.
_SETTINGS = {
    "apgd": ("num_steps", "num_restarts", "eot_iter"),
    "fab": ("num_steps", "num_restarts"),
    "square": ("num_queries", "num_restarts"),
}


def _planned(name: str, **changes: Any) -> PlannedAttack:
    return dataclasses.replace(ATTACKS[name], **changes)


VERSIONS = {
    "standard": tuple(_planned(name) for name in ("apgd-ce", "apgd-t", "fab-t", "square")),
    "plus": (
        _planned("apgd-ce", num_restarts=5),
        _planned("apgd-dlr", num_restarts=5),
        _planned("fab", num_restarts=5),
        _planned("square"),
        _planned("apgd-t"),
        _planned("fab-t"),
    ),
    # For classifiers with random output.
    "rand": (_planned("apgd-ce", eot_iter=20), _planned("apgd-dlr", eot_iter=20)),
    # Not the published evaluation: its two strongest parts, under a name of their own.
    "fast": (_planned("apgd-ce"), _planned("apgd-t")),
}
CUSTOM = "custom"


def plan(
    version: str,
    *,
    attacks: Sequence[str] | None,
    settings: Mapping[str, Mapping[str, int]] | None,
    num_classes: int,
) -> tuple[tuple[PlannedAttack, ...], dict[str, str]]:
    """Returns (attacks of an ensemble, name -> reason for each attack left out).

    Args:
        version: a name in `VERSIONS`, or `custom`.
        attacks: for `custom`, names in `ATTACKS`, in order; else None.
        settings: for `custom`, attack name -> changed fields of `PlannedAttack`; or None.
        num_classes: Python int >= 2.

    Raises:
        ValueError: for an unknown version, attack or setting, and for `attacks` or
            `settings` together with a named version.
    """
    chosen = _chosen(version, attacks, settings or {})
    fitting, left_out = [], {}
    for attack in chosen:
        needed = _classes_needed(attack)
        if num_classes < needed:
            left_out[attack.name] = (
                f"{attack.name} needs at least {needed} classes and was left out; "
                f"the classifier has {num_classes}"
            )
        else:
            num_targets = min(attack.num_targets, num_classes - 1)
            fitting.append(dataclasses.replace(attack, num_targets=num_targets))
    if not fitting:
        raise ValueError(
            f"`version={version}` needs more classes; received `num_classes={num_classes}`."
        )
    return tuple(fitting), left_out


def _chosen(
    version: str, attacks: Sequence[str] | None, settings: Mapping[str, Mapping[str, int]]
) -> tuple[PlannedAttack, ...]:
    if version in VERSIONS:
        if attacks is not None or settings:
            raise ValueError(
                "`attacks` and `settings` belong to `version='custom'`; "
                f"received them with version {version!r}."
            )
        return VERSIONS[version]
    if version != CUSTOM:
        known = ", ".join((*VERSIONS, CUSTOM))
        raise ValueError(f"`version` must be one of {known}; received {version!r}.")
    if not attacks or isinstance(attacks, str):
        raise ValueError(f"`attacks` must be a list of attack names; received {attacks!r}.")
    _check_names("attacks", attacks, ATTACKS)
    _check_names("settings", settings, attacks)
    if len(set(attacks)) != len(attacks):
        raise ValueError(f"`attacks` must name each attack once; received {list(attacks)}.")
    return tuple(_changed(name, settings.get(name, {})) for name in attacks)


def _changed(name: str, changes: Mapping[str, int]) -> PlannedAttack:
    attack = ATTACKS[name]
    targets = ("num_targets",) if attack.num_targets else ()
    _check_names(f"settings[{name!r}]", changes, (*_SETTINGS[attack.kind], *targets))
    for field, value in changes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"`settings[{name!r}][{field!r}]` must be an integer >= 1; received {value!r}."
            )
    return _planned(name, **changes)


def _check_names(argument: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"`{argument}` must only hold {', '.join(known)}; received {name!r}.")


def _classes_needed(attack: PlannedAttack) -> int:
    return CLASSES_NEEDED[attack.loss] if attack.kind == "apgd" else 2
