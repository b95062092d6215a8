"""The flags of `python -m ascl_tf.predict`, and what they mean together."""

import dataclasses

from ascl_tf.config import setting
from ascl_tf.config.paths import MODEL, PATH
from ascl_tf.config.setting import check_setting
from ascl_tf.errors import ConfigError

TABLE, JSON_LINES = "table", "jsonl"
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Flags of this program."""

    model: str = setting(
        "",
        "Any classifier: a SavedModel folder, a .keras, .tflite or .onnx file, or pretrained:NAME.",
        path=MODEL,
    )
    list: str = setting(
        "", "File that names one picture or folder per line. -: standard input.", path=PATH
    )
    format: str = setting(
        TABLE,
        "Output format: a table, or one JSON object per line for other programs (jsonl).",
        choices=(TABLE, JSON_LINES),
    )
    top_k: int = setting(
        1, "Number of classes to print per picture, the likeliest first.", minimum=1
    )
    embed: str = setting(
        "",
        "Write features instead of classes to this .npz file: `features` [N, F], and the names "
        "of the pictures as `files` [N].",
        path=PATH,
    )
    batch_size: int = setting(64, "Pictures per pass. Affects only time and memory.", minimum=1)
    image_size: int = setting(
        0, "Height and width of the model's images, if the model takes any size.", minimum=0
    )
    resize: str = setting(
        AUTO,
        "How to resize pictures to the model's size. stretch: change the aspect ratio; crop: "
        "resize the shorter side and keep the center; pad: resize the longer side and add black "
        "borders; auto: as in training if the model's card says so, else crop.",
        choices=(AUTO, "stretch", "crop", "pad"),
    )
    trust_model: bool = setting(
        False,
        "Also load .keras files with Lambda layers, which run Python code from the file. Use "
        "only for files whose author you trust.",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_setting(field, getattr(self, field.name))
        if not self.model:
            raise ConfigError("--model: expected the file or folder of a classifier; found none")
        if self.embed and not self.embed.endswith(".npz"):
            raise ConfigError(f"--embed: expected a name that ends in .npz; found {self.embed}")
