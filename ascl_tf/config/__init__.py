"""Settings: what one is, those of a run by section, and all of a run in one `Config`.

No TensorFlow here: a mistake in a flag must not wait seconds for its import.
"""

from ascl_tf.config.config import (
    CONFIG_FILE,
    FOLDER_PREFIX,
    Config,
    config_from_json,
    sections,
    setting_fields,
    shrink,
    with_absolute_places,
)
from ascl_tf.config.identity import FORMATS, find_differences, identity_of, settings_in
from ascl_tf.config.protocol_names import VARIANT, split_protocols
from ascl_tf.config.registry import find_method, method_names
from ascl_tf.config.sections import (
    ATTACK_SOURCES,
    BUNDLED,
    ENCODER_SETTINGS,
    FINETUNE_MODES,
    TRAINING_STAGES,
    AttackSettings,
    DataSettings,
    EvaluationSettings,
    FinetuneSettings,
    NetworkSettings,
    ObjectiveSettings,
    OptimizationSettings,
    RunSettings,
)
from ascl_tf.config.setting import (
    ALL,
    EVALUATE,
    EXPORT,
    FINETUNE,
    PRETRAIN,
    STAGES,
    Fraction,
    setting,
)

__all__ = [
    "ALL",
    "ATTACK_SOURCES",
    "BUNDLED",
    "CONFIG_FILE",
    "ENCODER_SETTINGS",
    "EVALUATE",
    "EXPORT",
    "FINETUNE",
    "FINETUNE_MODES",
    "FOLDER_PREFIX",
    "FORMATS",
    "PRETRAIN",
    "STAGES",
    "TRAINING_STAGES",
    "VARIANT",
    "AttackSettings",
    "Config",
    "DataSettings",
    "EvaluationSettings",
    "FinetuneSettings",
    "Fraction",
    "NetworkSettings",
    "ObjectiveSettings",
    "OptimizationSettings",
    "RunSettings",
    "config_from_json",
    "find_differences",
    "find_method",
    "identity_of",
    "method_names",
    "sections",
    "setting",
    "setting_fields",
    "settings_in",
    "shrink",
    "split_protocols",
    "with_absolute_places",
]
