"""Settings: what one is, those of a run by section, and all of a run in one `Config`.

No TensorFlow here: a mistake in a flag must not wait seconds for its import.
"""

from ascl_tf.config.config import (
    CONFIG_FILE,
    FOLDER_PREFIX,
    SECTIONS,
    Config,
    config_from_json,
    shrink,
    with_absolute_places,
    without_places,
)
from ascl_tf.config.sections import (
    ATTACK_SOURCES,
    FINETUNE_MODES,
    METHODS,
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
    "CONFIG_FILE",
    "EVALUATE",
    "EXPORT",
    "FINETUNE",
    "FINETUNE_MODES",
    "FOLDER_PREFIX",
    "METHODS",
    "ONE_SHOT_METHODS",
    "PRETRAIN",
    "SECTIONS",
    "SELF_SUPERVISED_METHODS",
    "STAGES",
    "AttackConfig",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "FinetuneConfig",
    "Fraction",
    "ModelConfig",
    "ObjectiveConfig",
    "RunConfig",
    "TrainingConfig",
    "config_from_json",
    "setting",
    "shrink",
    "with_absolute_places",
    "without_places",
]
