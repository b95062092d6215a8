"""Every setting of a training run, in one flat and frozen `Config`.

The fields, with default, help, range and the stages that use them, are in config/sections.py
and config/methods.py. Flags are made from these fields
(program/flag_defs.py), so that each default and help text exists once. No TensorFlow here:
tools and tests of flagfiles stay fast.
"""

import dataclasses
import json
import os
from collections.abc import Collection, Mapping
from typing import Any

from ascl_tf.config.methods import (
    METHOD_SECTIONS,
    AclConfig,
    AsclConfig,
    ClassificationConfig,
    FastConfig,
    PretextConfig,
    PseudoLabelConfig,
    RoclConfig,
    fast_conflict,
)
from ascl_tf.config.sections import (
    ONE_SHOT_METHODS,
    SELF_SUPERVISED_METHODS,
    AttackConfig,
    DataConfig,
    EvaluationConfig,
    FinetuneConfig,
    ModelConfig,
    ObjectiveConfig,
    RunConfig,
    TrainingConfig,
)
from ascl_tf.config.setting import (
    Fraction,
    check_setting,
    value_from_json,
)
from ascl_tf.errors import ConfigError, RunError

# Where a work directory keeps the settings of its run.
CONFIG_FILE = "config.json"

# Settings that are the path of a folder, or, with this in front, may be one.
FOLDER_PREFIX = "folder:"
DATA_SETS = ("dataset", "unlabeled_dataset")
RUNS = ("pretrained", "initial_encoder", "pseudo_label_encoder")
PLACES = ("data_dir", *RUNS)

SECTIONS = (
    RunConfig,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    *METHOD_SECTIONS,
    AttackConfig,
    TrainingConfig,
    FinetuneConfig,
    EvaluationConfig,
)


@dataclasses.dataclass(frozen=True)
class Config(
    EvaluationConfig,
    FinetuneConfig,
    TrainingConfig,
    AttackConfig,
    FastConfig,
    PretextConfig,
    PseudoLabelConfig,
    RoclConfig,
    AclConfig,
    ClassificationConfig,
    AsclConfig,
    ObjectiveConfig,
    ModelConfig,
    DataConfig,
    RunConfig,
):
    """All settings of a run, flat: a field is a flag of the same name."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_setting(field, getattr(self, field.name))
        _check_combinations(self)

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with other values, checked anew."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; fractions as they were written."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: v.text if isinstance(v, Fraction) else v for k, v in values.items()}

    def identity(self, stage: str) -> dict[str, Any]:
        """Returns the values on which the result of `stage` depends; no directory among them."""
        names = [field.name for field in dataclasses.fields(self) if self._identifies(field, stage)]
        values = self.to_json()
        return without_places({name: values[name] for name in names})

    def _identifies(self, field: "dataclasses.Field[Any]", stage: str) -> bool:
        if not field.metadata["is_identity"] or stage not in field.metadata["stages"]:
            return False
        return not field.metadata["added_later"] or getattr(self, field.name) != field.default

    @property
    def is_one_shot(self) -> bool:
        """Whether the method trains its classifier itself and needs no fine-tuning."""
        return self.method in ONE_SHOT_METHODS

    @property
    def uses_unlabeled_images(self) -> bool:
        """Whether pre-training has a term for images without a label."""
        weight = _label_free_weight(self)
        return getattr(self, weight) > 0 if weight else self.method in SELF_SUPERVISED_METHODS

    @property
    def has_unlabeled_images(self) -> bool:
        """Whether the flags of pre-training bring in images without a label for such a term."""
        are_there = self.labeled_fraction < 1 or bool(self.unlabeled_dataset)
        return self.uses_unlabeled_images and are_there

    @property
    def decay_shares(self) -> tuple[float, ...]:
        """`decay_at` as numbers, ascending."""
        return _shares("decay_at", self.decay_at)

    @property
    def finetune_decay_shares(self) -> tuple[float, ...]:
        """`finetune_decay_at` as numbers, ascending, with "auto" filled in."""
        if self.finetune_decay_at != "auto":
            return _shares("finetune_decay_at", self.finetune_decay_at)
        return () if self.finetune in ("lsf", "laf") else (0.6, 0.8)

    @property
    def cluster_counts(self) -> tuple[int, ...]:
        """`num_clusters` as numbers, in the order given."""
        try:
            counts = tuple(int(count) for count in self.num_clusters.split(","))
        except ValueError:
            counts = ()
        if not counts or min(counts) < 2:
            raise ConfigError(
                "--num_clusters: expected whole numbers >= 2, separated by commas, such as "
                f"2,10,50; found {self.num_clusters!r}"
            )
        return counts

    @property
    def finetune_batch_size(self) -> int:
        """Images per step of fine-tuning, over all replicas."""
        return self.finetune_global_batch_size or self.global_batch_size

    @property
    def num_finetune_epochs(self) -> int:
        """Epochs of fine-tuning with the paper's default filled in."""
        return self.finetune_epochs or (10 if self.finetune in ("lsf", "laf") else 25)


def with_absolute_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings whose paths hold in every working directory."""
    places = {name: os.path.abspath(values[name]) for name in PLACES if values.get(name)}
    for name in DATA_SETS:
        prefix, found, path = values.get(name, "").partition(FOLDER_PREFIX)
        if found and path and not prefix:
            places[name] = FOLDER_PREFIX + os.path.abspath(path)
    return {**values, **places}


def without_places(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an identity that knows a folder of images by its own name, and no other place.

    Identities that earlier versions have recorded hold paths.
    """
    kept = {name: value for name, value in identity.items() if name not in PLACES}
    for name in DATA_SETS:
        prefix, found, path = str(kept.get(name, "")).partition(FOLDER_PREFIX)
        if found and path and not prefix:
            kept[name] = FOLDER_PREFIX + os.path.basename(os.path.abspath(path))
    return kept


def config_from_json(text: str, source: str) -> Config:
    """Returns the config written in `text`.

    Raises:
        RunError: naming `source`, if the text is no JSON object of known settings, each of
            its type and in its range.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{source}: expected a JSON object of settings; found {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{source}: expected a JSON object; found {type(values).__name__}")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RunError(f"{source}: expected known settings; found {', '.join(unknown)}")
    settings = {k: value_from_json(fields[k], v, source) for k, v in values.items()}
    try:
        return Config(**settings)
    except ConfigError as error:
        raise RunError(f"{source}: {error}") from None


def shrink(config: Config, kept: Collection[str] = ()) -> Config:
    """Returns the config of `--smoke`: the same path through the code, in seconds.

    Args:
        config: what is to be made small.
        kept: names of settings that stay as they are; folders of pictures do in any case.
    """
    folders = (n for n in DATA_SETS if getattr(config, n).startswith(FOLDER_PREFIX))
    kept = {*kept, *folders}
    small = {name: value for name, value in _small(config).items() if name not in kept}
    if "dataset" in small:
        small |= {name: value for name, value in _BUNDLED_SPLITS.items() if name not in kept}
    if "num_train_images" not in kept:
        # Two steps an epoch, once a quarter of the images is held out.
        batch = small.get("global_batch_size", config.global_batch_size)
        small["num_train_images"] = max(48, 3 * batch)
    return config.replace(smoke=True, **small)


_BUNDLED_SPLITS = {"train_split": "train", "validation_split": "", "test_split": "auto"}


def _small(config: Config) -> dict[str, Any]:
    return dict(
        dataset="bundled",
        image_size=16,
        width=2,
        projection_dim=8,
        projection_hidden_dim=min(config.projection_hidden_dim, 16),
        num_clusters="2,3",
        epochs=1,
        warmup_epochs=0.0,
        global_batch_size=16,
        finetune_epochs=1,
        finetune_global_batch_size=min(config.finetune_global_batch_size, 16),
        awp_warmup_epochs=0,
        num_attention_layers=min(config.num_attention_layers, 2),
        num_steps_pretext=min(config.num_steps_pretext, 2),
        num_steps_at=min(config.num_steps_at, 2),
        num_steps_cl=min(config.num_steps_cl, 2),
        num_steps_ascl=min(config.num_steps_ascl, 2),
        finetune_num_steps=min(config.finetune_num_steps, 2),
        num_images=20,
        validation_fraction=0.25,
        num_validation_images=10,
        validation_protocol="fgsm",
        evaluation_batch_size=20,
        # With fewer labels some of the ten classes would have none among so few images.
        labeled_fraction=max(config.labeled_fraction, 0.5),
        unlabeled_dataset="bundled" if config.unlabeled_dataset else "",
    )


def _shares(name: str, text: str) -> tuple[float, ...]:
    try:
        shares = tuple(sorted(float(share) for share in text.split(",") if share.strip()))
        is_valid = all(0 < share <= 1 for share in shares)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ConfigError(
            f"--{name}: expected numbers in (0, 1], separated by commas, such as 0.6,0.8; "
            f"found {text!r}"
        )
    return shares


def _check_combinations(config: Config) -> None:
    # Each raises where its text cannot be read.
    for derived in ("decay_shares", "finetune_decay_shares", "cluster_counts"):
        getattr(config, derived)
    if config.depth not in (18, 34):
        raise ConfigError(f"--depth: expected 18 or 34; found {config.depth}")
    if config.unlabeled_dataset and not config.uses_unlabeled_images:
        weight = _label_free_weight(config)
        expected = "a method with a term that needs no labels, such as ascl"
        found = f"--method={config.method}"
        if weight:
            expected, found = f"--{weight} > 0, the one term that uses such images", f"--{weight}=0"
        raise ConfigError(f"--unlabeled_dataset: expected {expected}; found {found}")
    if config.step_size > config.epsilon * 2:
        raise ConfigError(
            f"--step_size: expected at most twice --epsilon={config.epsilon}; "
            f"found {config.step_size}"
        )
    conflict = fast_conflict(config)
    if conflict:
        raise ConfigError(conflict)


def _label_free_weight(config: Config) -> str:
    """Returns the setting that weights the one term without labels beside terms that need them."""
    return {"ascl": "lambda_1", "rotation_at": "rotation_weight"}.get(config.method, "")
