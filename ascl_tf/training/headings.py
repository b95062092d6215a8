"""The line that a stage begins with: what it does, and about how long that takes.

How long is estimated where it may surprise, without a GPU, and where there is one process.
"""

from ascl_tf.config import PRETRAIN
from ascl_tf.evaluation.autoattack_protocol import AUTOATTACK
from ascl_tf.training import cost
from ascl_tf.training.cards import describe_network
from ascl_tf.training.strategy import has_gpu, is_over_workers

QUICKSTART = "quickstart"
LONG_RUN_SECONDS = 1800
_TRAINED = {"l": "the linear layer", "f": "encoder and linear layer"}
_IMAGES = {"s": "natural", "a": "adversarial"}
_GRAPH = "ten seconds to minutes to build the graph of a step"


def say_training(stage, method, dataset, *, epochs, num_images, num_validated):
    """Says what a training stage does.

    Args:
        stage: its name.
        method: compiled `Method`.
        dataset: `ImageDataset` that it is trained on.
        epochs: of the whole stage.
        num_images, num_validated: images of all steps, and of all validations, still to come.
    """
    config, is_pretraining = method.config, stage == PRETRAIN
    height, width, _ = dataset.image_shape
    seconds = None
    # The time that `minutes` chooses epochs by has been said.
    if not (has_gpu() or is_over_workers(method.distribute_strategy)) and not (
        is_pretraining and config.minutes
    ):
        seconds = cost.seconds_of_training(method, dataset, num_images, num_validated)
    how_long = f"needs {_GRAPH}" if seconds is None else f"{_estimated(seconds)}, plus {_GRAPH}"
    what = f"{config.method}, {describe_network(config)}" if is_pretraining else _tuned(config)
    on = f"{len(dataset)} images of {height} x {width} pixels, {epochs} epoch" + "s" * (epochs > 1)
    _say(stage, what, on, how_long)
    if is_pretraining and (seconds or 0) > LONG_RUN_SECONDS:
        print(f"notice: --recipe={QUICKSTART} gives a first run in minutes", flush=True)


def say_evaluation(stage, checkpoints, protocols, classifier, dataset):
    """Says what an evaluation measures.

    Args:
        stage: name of the stage that has trained the classifier.
        checkpoints: names of its checkpoints.
        protocols: list of `Protocol`.
        classifier: one of them, images -> logits.
        dataset: `ImageDataset` that it is tested on.
    """
    names = [protocol.name for protocol in protocols]
    parts = [f"{', '.join(names)} on {len(dataset)} images"]
    # How long AutoAttack takes depends on how much withstands it.
    if not has_gpu() and all(protocol.kind != AUTOATTACK for protocol in protocols):
        one = cost.seconds_per_pass(classifier, dataset.image_shape)
        seconds = one * cost.count_passes(names) * len(dataset) * len(checkpoints)
        parts.append(
            f"{_estimated(seconds)} at most, plus seconds to build the graph of each attack"
        )
    _say("evaluate", f"{stage}, {' and '.join(checkpoints)} checkpoint", *parts)


def say_export(stage, checkpoint, formats):
    """Says which checkpoint is exported."""
    _say("export", f"{stage}, {checkpoint} checkpoint", f"as {', '.join(formats)}")


def _tuned(config):
    trained, images = config.finetune[0], config.finetune[1]
    return f"{_TRAINED[trained]} on {_IMAGES[images]} images"


def _estimated(seconds):
    return f"{cost.roughly(seconds)} without a GPU"


def _say(stage, *parts):
    print(f"{stage}: {'; '.join(parts)}", flush=True)
