"""Every setting of a training run: by section for the code, flat for flags and config.json."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Collection, Mapping
from typing import Any, NoReturn, TypeVar

from ascl_tf.config import auto, networks, registry
from ascl_tf.config.paths import SOURCE, expand
from ascl_tf.config.pretrained import PREFIX
from ascl_tf.config.sections import (
    BUNDLED,
    SHARED_SECTIONS,
    AttackSettings,
    DataSettings,
    EvaluationSettings,
    FinetuneSettings,
    NetworkSettings,
    ObjectiveSettings,
    OptimizationSettings,
    RunSettings,
)
from ascl_tf.config.setting import AUTO, check_setting, plain_value, typed_value, value_from_json
from ascl_tf.errors import ConfigError, RunError, near_names

# Where a work directory keeps the settings of its run.
CONFIG_FILE = "config.json"

# Settings that are the path of a folder, or, with this in front, may be one.
FOLDER_PREFIX = "folder:"
DATA_SETS = ("dataset", "unlabeled_dataset")
RUNS = ("pretrained", "initial_encoder", "pseudo_label_encoder", "pseudo_label_classifier")
PLACES = ("data_dir", "cache_dir", *RUNS)
ENCODER = "encoder"

Section = TypeVar("Section")


def sections() -> list[type]:
    """Returns the dataclasses of all settings: the shared ones, and those of the methods."""
    return [*SHARED_SECTIONS.values(), *registry.method_sections()]


def setting_fields() -> dict[str, "dataclasses.Field[Any]"]:
    """Returns every setting by its name, as the field of its section."""
    return {field.name: field for section in sections() for field in dataclasses.fields(section)}


class Config:
    """All settings of a run, frozen.

    `config.data`, `config.network`, `config.attack` and so on are the sections that all methods
    share, `config.of(Settings)` any section, and `config.epochs` a single setting, whatever its
    section.

    Args:
        values: settings by name; the others are at their defaults, or as auto.py finds them.

    Raises:
        ConfigError: if a value is not of its type or range, or values do not go together.
        TypeError: if there is no such setting.

    Example:
        >>> config = Config(method="simclr", epochs=5)
        >>> config.epochs, config.attack.epsilon
        (5, 8/255)
        >>> config.replace(epochs=6)
        Config(method='simclr', epochs=6)
    """

    run: RunSettings
    data: DataSettings
    network: NetworkSettings
    objective: ObjectiveSettings
    attack: AttackSettings
    optimization: OptimizationSettings
    finetuning: FinetuneSettings
    evaluation: EvaluationSettings

    def __init__(self, **values: Any) -> None:
        registry.find_method(values.get("method", ObjectiveSettings().method))
        fields = setting_fields()
        unknown = sorted(set(values) - set(fields))
        if unknown:
            hint = near_names(unknown[0], fields)
            raise TypeError(f"expected known settings; found {', '.join(unknown)}{hint}")
        autos = {name for name, field in fields.items() if field.metadata["is_auto"]}
        given = {
            name: typed_value(fields[name], value)
            for name, value in values.items()
            if not (name in autos and isinstance(value, str) and value == AUTO)
        }
        for name, value in given.items():
            check_setting(fields[name], value)
        plain = {name: field.default for name, field in fields.items() if name not in autos}
        values = auto.fill_in(plain | given)
        made = {section: _make(section, values) for section in sections()}
        named = {name: made[section] for name, section in SHARED_SECTIONS.items()}
        flat = {n: getattr(made[section], n) for section in made for n in _names_in(section)}
        vars(self).update(_sections=made, _values=flat, **named)
        vars(self).update(_given=frozenset(given), _chosen=None)
        _check_combinations(self)

    def of(self, section: type[Section]) -> Section:
        """Returns the settings of one section, such as `config.of(AsclSettings)`."""
        found: Section = self._sections[section]
        return found

    def __getattr__(self, name: str) -> Any:
        # Called for what is neither a section nor a property: single settings, and what a section
        # derives from its own.
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._values:
            return self._values[name]
        for section in self._sections.values():
            if hasattr(type(section), name):
                return getattr(section, name)
        raise AttributeError(f"Config has no setting {name!r}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot assign to setting {name!r}")

    def __eq__(self, other: object) -> bool:
        # A method that is imported later adds settings, at their defaults, to later ones alone.
        return isinstance(other, Config) and self._unusual() == other._unusual()

    def __hash__(self) -> int:
        return hash(frozenset(self._unusual().items()))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{k}={v!r}' for k, v in self.changes().items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.changes(), self._chosen)

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with other values, checked again; what is not given is found again."""
        return _rebuild({**self.changes(), **changes}, self._chosen)

    def with_chosen(self, names: Collection[str]) -> "Config":
        """Returns a copy that knows which settings the user has chosen; copies of it keep them.

        What a recipe or an earlier run sets may give way to the data; what the user chose may not.
        """
        return _rebuild(self.changes(), frozenset(names))

    @property
    def chosen(self) -> frozenset[str]:
        """Names of the settings that the user has chosen; unless told, those not at default."""
        return frozenset(self.changes()) if self._chosen is None else self._chosen

    def changes(self) -> dict[str, Any]:
        """Returns what makes this config: the given settings that are not at their default."""
        unusual = self._unusual()
        return {
            field.name: self._values[field.name]
            for field in self._fields()
            if field.name in self._given and (field.metadata["is_auto"] or field.name in unusual)
        }

    def _unusual(self) -> dict[str, Any]:
        """Returns the settings that are not at their default, given or found."""
        values = self._values
        return {f.name: values[f.name] for f in self._fields() if values[f.name] != f.default}

    def _fields(self) -> list["dataclasses.Field[Any]"]:
        return [field for section in self._sections for field in dataclasses.fields(section)]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; fractions as they were written."""
        return {name: plain_value(value) for name, value in self._values.items()}

    @property
    def method_spec(self) -> registry.MethodSpec:
        """What is known of the method."""
        return registry.find_method(self.objective.method)

    @property
    def is_one_shot(self) -> bool:
        """Whether the method trains its classifier itself and needs no fine-tuning."""
        return not self.method_spec.needs_finetuning

    @property
    def is_label_free(self) -> bool:
        """Whether pre-training takes no label of the data set."""
        return self.method_spec.labels == registry.LABELS_NONE

    @property
    def uses_unlabeled_images(self) -> bool:
        """Whether pre-training has a term for images without a label, or a label for them."""
        if self.data.pseudo_label_classifier:
            return True
        weight = self.method_spec.label_free_weight
        return self._values[weight] > 0 if weight else self.is_label_free

    @property
    def has_unlabeled_images(self) -> bool:
        """Whether a step of pre-training sees images without a label."""
        if self.data.pseudo_label_classifier:
            return False
        are_there = self.data.labeled_fraction < 1 or bool(self.data.unlabeled_dataset)
        return self.uses_unlabeled_images and are_there

    @property
    def finetune_batch_size(self) -> int:
        """Images per step of fine-tuning, over all replicas."""
        return self.finetuning.finetune_global_batch_size or self.optimization.global_batch_size


def _not_given_where_found(config: Config) -> Config:
    """Returns the config in which nothing counts as given that auto.py finds anyway."""
    for name in auto.NAMES:
        # Beside the others it may be out of its range, such as a step beside a small radius.
        with contextlib.suppress(ConfigError):
            candidate = config.replace(**{name: AUTO})
            config = candidate if candidate == config else config
    return config


def _rebuild(values: dict[str, Any], chosen: frozenset[str] | None) -> Config:
    config = Config(**values)
    vars(config)["_chosen"] = chosen
    return config


def _make(section: type, values: Mapping[str, Any]) -> Any:
    return section(**{name: values[name] for name in _names_in(section) if name in values})


def _names_in(section: type) -> list[str]:
    return [field.name for field in dataclasses.fields(section)]


def _check_combinations(config: Config) -> None:
    spec, method = config.method_spec, config.objective.method
    if config.data.unlabeled_dataset and not config.uses_unlabeled_images:
        weight = spec.label_free_weight
        expected, found = "a method with a term that needs no labels", f"`method={method}`"
        if weight:
            expected, found = f"`{weight}` > 0, for the term that needs no labels", f"`{weight}=0`"
        expected += ", or `pseudo_label_classifier`"
        raise ConfigError(field="unlabeled_dataset", expected=expected, found=found)
    if config.data.pseudo_label_classifier and config.is_label_free:
        raise ConfigError(
            field="pseudo_label_classifier",
            expected="a method that uses labels, such as ascl or at",
            found=f"`method={method}`",
        )
    _check_own(config)
    conflict = spec.find_conflict(config) if spec.find_conflict else None
    if conflict:
        name, expected, found = conflict
        value = getattr(config, name)
        raise ConfigError(field=name, value=value, expected=expected, found=found)


def _check_own(config: Config) -> None:
    """Raises ConfigError for a setting that the method would ignore although it is important."""
    for section in registry.method_sections():
        if section in config.method_spec.settings:
            continue
        for field in dataclasses.fields(section):
            value = getattr(config, field.name)
            if field.metadata["only_own_methods"] and value != field.default:
                raise ConfigError(
                    field=field.name,
                    value=value,
                    expected=f"`method={_one_of(registry.methods_with(section))}`",
                    found=f"`method={config.method}`",
                )


def _one_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def with_absolute_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings whose paths hold in every working directory."""
    named = {name: expand(os.fspath(values[name]), SOURCE) for name in PLACES if values.get(name)}
    places = {
        name: path if path.startswith(PREFIX) else os.path.abspath(path)
        for name, path in named.items()
    }
    for name in DATA_SETS:
        prefix, found, path = values.get(name, "").partition(FOLDER_PREFIX)
        if found and path and not prefix:
            places[name] = FOLDER_PREFIX + os.path.abspath(path)
    if networks.is_file(values.get(ENCODER, "")):
        places[ENCODER] = os.path.abspath(values[ENCODER])
    return {**values, **places}


def config_from_json(text: str, source: str) -> Config:
    """Returns the config written in `text`.

    Raises:
        RunError: naming `source`, if the text is no JSON object of known settings, each of
            its type and in its range.

    Example:
        >>> config_from_json('{"epochs": 5}', source="config.json")
        Config(epochs=5)
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{source}: expected a JSON object of settings; found {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{source}: expected a JSON object; found {type(values).__name__}")
    try:
        # An outside method's settings are known once it is imported.
        if isinstance(values.get("method"), str):
            registry.find_method(values["method"])
        fields = setting_fields()
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise RunError(f"{source}: expected known settings; found {', '.join(unknown)}")
        return _not_given_where_found(
            Config(**{k: value_from_json(fields[k], v, source) for k, v in values.items()})
        )
    except ConfigError as error:
        raise RunError(error, place=source) from None


def shrink(config: Config, kept: Collection[str] = ()) -> Config:
    """Returns the config of `--smoke`: the same path through the code, in seconds.

    Args:
        config: what is to be made small.
        kept: names of settings that stay as they are; folders of pictures do in any case.
    """
    folders = [n for n in DATA_SETS if getattr(config, n).startswith(FOLDER_PREFIX)]
    splits = ("train_split", "validation_split", "test_split")
    # The splits of a data set that stays are its own.
    kept = {*kept, *folders, *(splits if {"dataset"} & {*kept, *folders} else ())}
    small = {name: value for name, value in _small(config).items() if name not in kept}
    if "num_train_images" not in kept:
        # Two steps an epoch, once a quarter of the images is held out.
        batch = small.get("global_batch_size", config.optimization.global_batch_size)
        small["num_train_images"] = max(48, 3 * batch)
    return config.replace(smoke=True, **small)


def _small(config: Config) -> dict[str, Any]:
    small = {}
    for name, field in setting_fields().items():
        largest = field.metadata["smoke_maximum"]
        if field.metadata["smoke"] is not None:
            small[name] = field.metadata["smoke"]
        elif largest is not None:
            small[name] = min(getattr(config, name), largest)
    # With fewer labels some of the ten classes would have none among so few images.
    small["labeled_fraction"] = max(config.data.labeled_fraction, 0.5)
    small["unlabeled_dataset"] = BUNDLED if config.data.unlabeled_dataset else ""
    return small
