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
    """The flags of this program."""

    model: str = setting(
        "",
        "SavedModel folder, or .keras, .tflite or .onnx file, of any classifier, or "
        "pretrained:NAME.",
        path=MODEL,
    )
    list: str = setting(
        "", "File with the names of pictures or folders, one a line; -: standard input.", path=PATH
    )
    format: str = setting(
        TABLE,
        "What is printed: a table, or a JSON object a line for other programs.",
        choices=(TABLE, JSON_LINES),
    )
    top_k: int = setting(1, "So many classes of each picture, the likeliest first.", minimum=1)
    embed: str = setting(
        "",
        "In place of classes: .npz file for the features of the pictures, `features` [N, F], and "
        "their names, `files` [N].",
        path=PATH,
    )
    batch_size: int = setting(64, "Pictures per pass; changes time and memory.", minimum=1)
    image_size: int = setting(
        0, "Height and width of the model's images, where it takes any size.", minimum=0
    )
    resize: str = setting(
        AUTO,
        "How pictures are brought to the model's size: stretched; the shorter side, then the "
        "center (crop); the longer side, with black borders (pad); auto: as the model's card says "
        "that it was trained, else crop.",
        choices=(AUTO, "stretch", "crop", "pad"),
    )
    trust_model: bool = setting(
        False,
        "Load .keras files with Lambda layers too, which run Python code from the file; only for "
        "files whose author you trust.",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_setting(field, getattr(self, field.name))
        if not self.model:
            raise ConfigError("--model: expected the file or folder of a classifier; found none")
        if self.embed and not self.embed.endswith(".npz"):
            raise ConfigError(f"--embed: expected a name that ends in .npz; found {self.embed}")
