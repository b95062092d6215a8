"""The flags of `python -m ascl_tf.export`, and what they mean together."""

import dataclasses
from typing import Any

from ascl_tf.config import EvaluationSettings, setting
from ascl_tf.config.paths import DATASET, MODEL, PATH
from ascl_tf.config.recorded_splits import DATASET as DATA_SET
from ascl_tf.config.sections import read_export_formats, read_memory_limit
from ascl_tf.config.setting import check_setting, like_run_setting
from ascl_tf.errors import ConfigError
from ascl_tf.program.data_flags import ReadingFlags
from ascl_tf.program.own_run import with_settings_of_run


@dataclasses.dataclass(frozen=True)
class ExportConfig(ReadingFlags):
    """Flags of this program; flags shared with training mean the same."""

    model: str = setting(
        "",
        "Classifier to export: a SavedModel folder, a .keras file, or pretrained:NAME.",
        path=MODEL,
    )
    output: str = setting(
        "", "Folder for the files. An earlier export there is replaced.", path=PATH
    )
    dataset: str = setting(
        "",
        "Data set, named as in training, whose test images the files are compared on. tflite "
        "also calibrates its integers on the training images. Empty: compare on noise.",
        path=DATASET,
    )
    split: str = setting("test", "Split of the test images.")
    training_split: str = setting("train", "Split of the training images.")
    trust_model: bool = setting(
        False,
        "Also load .keras files with Lambda layers, which run Python code from the file. Use "
        "only for files whose author you trust.",
    )
    protocol: str = setting(
        "pgd20",
        "Attack on the model for a second accuracy of the tflite and onnx files.",
    )
    num_images: int = setting(
        0,
        "Check the labels and the model's output on the first N test images only. 0: all.",
        minimum=0,
    )
    export_format: str = like_run_setting(EvaluationSettings, "export_format")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_setting(field, getattr(self, field.name))
        read_memory_limit(self.memory_limit)
        for name in ("model", "output"):
            if not getattr(self, name):
                what = "a SavedModel folder or a .keras file" if name == "model" else "a folder"
                raise ConfigError(f"--{name}: expected {what}; found none")
        if "tflite" in self.formats() and not self.dataset:
            raise ConfigError(
                "--dataset: expected one whose training images calibrate the integers of tflite; "
                "found none"
            )

    @classmethod
    def from_flags(cls, chosen: dict[str, Any]) -> "ExportConfig":
        """Returns the flags that a command line sets, with what the model's run adds to them.

        Without a data set nothing is read.
        """
        cls(**chosen)  # A mistake there is told first.
        return cls(**with_settings_of_run({DATA_SET: "", **chosen}, [chosen["model"]], cls))

    def of_training(self) -> "ExportConfig":
        """Returns the same flags, of which `--split` names the training images."""
        return dataclasses.replace(self, split=self.training_split, num_images=0)

    def formats(self) -> list[str]:
        """Returns the names in `--export_format`."""
        return read_export_formats(self.export_format)
