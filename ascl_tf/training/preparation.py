"""What a method needs before its first step beside images: another model, and what it gives.

A method names its preparations (`Method.preparations`). Each is opened before anything is written,
so that what is missing is refused at once; what it was made from goes into the stage's record; and
it is applied once the work directory is there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ascl_tf.evaluation.records import weights_sha256
from ascl_tf.training import pseudo_labels
from ascl_tf.training.feature_sources import start_from_initial_encoder


class Preparation(NamedTuple):
    """An opened preparation.

    Attributes:
        inputs: what it is made from, as keywords of `provenance.describe_inputs`.
        apply: callable (workers, workdir, dataset) -> the data set to train on.
    """

    inputs: dict[str, str]
    apply: Callable[[Any, Any, Any], Any] = lambda workers, workdir, dataset: dataset


def open_preparations(config, method, dataset):
    """Returns the `Preparation`s of a method, in order.

    Args:
        config: `Config`.
        method: built `Method`.
        dataset: `ImageDataset`, all training images.

    Raises:
        ConfigError: if a setting names no usable model, or the images do not suffice.
    """
    return [_OPEN[name](config, method, dataset) for name in method.preparations]


def _open_initial_encoder(config, method, dataset):
    start_from_initial_encoder(config, method)
    return Preparation({"initial_encoder_sha256": weights_sha256(method.encoder)})


def _open_pseudo_labels(config, method, dataset):
    source = pseudo_labels.open_source(config, method, dataset)
    if source is None:
        return Preparation({})

    def apply(workers, workdir, images):
        return pseudo_labels.of_chief(workers, config, workdir, method, images, source)

    return Preparation({"pseudo_label_encoder_sha256": source.sha256}, apply)


_OPEN = {"initial_encoder": _open_initial_encoder, "pseudo_labels": _open_pseudo_labels}
