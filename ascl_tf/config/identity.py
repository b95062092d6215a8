"""What identifies a run: the settings that differ from their defaults.

Two runs are the same if every setting on which a stage depends resolves to the same value. Only
those that are not at their default are recorded, so that a setting that is added later changes no
run that has been recorded; and a format number for each section, which is raised when a default or
the meaning of a setting in that section changes: runs before and after it are different runs. A
section without a number has the first, 1.
"""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ascl_tf.config import networks, registry
from ascl_tf.config.config import DATA_SETS, ENCODER, FOLDER_PREFIX, PLACES, Config, setting_fields
from ascl_tf.config.sections import SHARED_SECTIONS
from ascl_tf.config.setting import plain_value

FORMATS = "formats"
_FIRST_FORMAT = 1


def identity_of(config: Config, stage: str) -> dict[str, Any]:
    """Returns what the result of `stage` depends on, as plain JSON values; no directory.

    Settings that stand for another value, such as 0 epochs of fine-tuning for the paper's number,
    count as that value.

    Example:
        >>> identity_of(Config(method="simclr", epochs=5, workdir="/runs/a"), "pretrain")
        {'method': 'simclr', 'epochs': 5, 'formats': {'optimization': 2}}
    """
    found: dict[str, Any] = {}
    formats = {}
    for name, section in _named_sections().items():
        fields = [field for field in dataclasses.fields(section) if _identifies(field, stage)]
        if fields and getattr(section, "FORMAT", _FIRST_FORMAT) != _FIRST_FORMAT:
            formats[name] = section.FORMAT
        found |= {f.name: getattr(config, f.name) for f in fields if not _is_default(config, f)}
    plain = {name: plain_value(value) for name, value in found.items()}
    return {**_without_places(plain), FORMATS: formats}


def find_differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns how two identities differ, as settings with both values; [] if they do not.

    Example:
        >>> recorded, wanted = (identity_of(Config(epochs=n), "pretrain") for n in (5, 6))
        >>> find_differences(recorded, wanted)
        ['`epochs=6` (recorded: 5)']
    """
    usual = {name: plain_value(field.default) for name, field in setting_fields().items()}
    # What earlier versions recorded holds defaults and places too.
    recorded = {k: v for k, v in _without_places(recorded).items() if v != usual.get(k, ...)}
    names = sorted((set(recorded) | set(wanted)) - {FORMATS})
    differing = [
        f"`{name}={wanted.get(name, usual.get(name))}` "
        f"(recorded: {recorded.get(name, usual.get(name))})"
        for name in names
        if wanted.get(name) != recorded.get(name)
    ]
    old, new = recorded.get(FORMATS, {}), wanted.get(FORMATS, {})
    return differing + [
        f"format {new.get(name, _FIRST_FORMAT)} of the {name} settings "
        f"(recorded: {old.get(name, _FIRST_FORMAT)})"
        for name in sorted(set(old) | set(new))
        if old.get(name, _FIRST_FORMAT) != new.get(name, _FIRST_FORMAT)
    ]


def settings_in(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of an identity, without its formats.

    Example:
        >>> settings_in(identity_of(Config(epochs=5), "pretrain"))
        {'epochs': 5}
    """
    return {name: value for name, value in identity.items() if name != FORMATS}


def _named_sections() -> dict[str, Any]:
    methods = registry.method_sections()
    return {**SHARED_SECTIONS, **{section.__name__: section for section in methods}}


def _identifies(field: "dataclasses.Field[Any]", stage: str) -> bool:
    return field.metadata["is_identity"] and stage in field.metadata["stages"]


def _is_default(config: Config, field: "dataclasses.Field[Any]") -> bool:
    """Whether a setting has the value that its default stands for."""
    if getattr(config, field.name) == field.default:
        return True
    derived = _DERIVED.get(field.name)
    if derived is None:
        return False
    at_default = config.replace(**{field.name: field.default})
    return bool(getattr(config, derived) == getattr(at_default, derived))


# Settings whose default stands for another value -> what has that value.
_DERIVED = {
    "finetune_epochs": "num_finetune_epochs",
    "finetune_decay_at": "finetune_decay_shares",
    "finetune_global_batch_size": "finetune_batch_size",
}


def _without_places(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an identity that knows images and networks by their own names, and no other place."""
    kept = {name: value for name, value in identity.items() if name not in PLACES}
    for name in DATA_SETS:
        prefix, found, path = str(kept.get(name, "")).partition(FOLDER_PREFIX)
        if found and path and not prefix:
            kept[name] = FOLDER_PREFIX + os.path.basename(os.path.abspath(path))
    if networks.is_file(str(kept.get(ENCODER, ""))):
        kept[ENCODER] = os.path.basename(kept[ENCODER])
    return kept
