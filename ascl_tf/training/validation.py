"""What is measured on the held-out images after an epoch."""

import numpy as np
import tensorflow as tf

from ascl_tf.config.sections import EvaluationSettings, NetworkSettings, RunSettings
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.batch_attacks import CompiledAttacks
from ascl_tf.evaluation.evaluation_data import padded_batches
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.models.averaged import copy_variables, make_twin
from ascl_tf.process.failures import memory_errors_as_one_line
from ascl_tf.training.strategy import FLOAT32


def make_validation(
    method, dataset, evaluation: EvaluationSettings, network: NetworkSettings, run: RunSettings
):
    """Returns a function () -> accuracies of the method's classifier, in percent.

    Args:
        method: `Method` with a classifier.
        dataset: `ImageDataset`, the held-out images.
        evaluation, network, run: sections of the settings.
    """
    protocol = get_protocol(evaluation.validation_protocol)
    classifier, refresh = _make_evaluated_classifier(method, dataset)
    attacks, batch_size = CompiledAttacks(classifier), evaluation.evaluation_batch_size
    count = make_prediction_counter(attacks.logits_fn, dataset, batch_size)

    @memory_errors_as_one_line(batch_size, f"at width {network.width}")
    def measure():
        refresh()
        (record,) = evaluate_robustness(
            attacks, dataset, protocol, batch_size=batch_size, seed=run.seed
        )
        found = {name: record[name] for name in ("standard_accuracy", "robust_accuracy")}
        return {**found, "predicted_classes": count()}

    return measure


def _make_evaluated_classifier(method, dataset):
    """Returns (classifier, refresh): what is validated, and a function to call before.

    The classifier of `method` itself, or a float32 twin, which `refresh` gives its weights or
    their average: the best checkpoint is chosen as the evaluation will see it.
    """
    if method.config.precision == FLOAT32 and method.average is None:
        return method.classifier, lambda: None
    # In float32 a twin of the encoder itself, which may be a caller's.
    is_float32 = method.config.precision == FLOAT32
    twin = make_finetune_method(
        method.config,
        num_classes=dataset.num_classes,
        image_shape=dataset.image_shape,
        encoder=make_twin(method.encoder, "encoder") if is_float32 else None,
    ).classifier
    if method.average is None:
        return twin, lambda: copy_variables(method.classifier, twin)
    return twin, lambda: method.average.copy_to(encoder=twin.encoder, linear_head=twin.linear_head)


def make_prediction_counter(logits_fn, dataset, batch_size):
    """Returns a function () -> how many different classes the images of a data set are given.

    Args:
        logits_fn: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C]; it may change between
            two calls.
        dataset: `ImageDataset`.
        batch_size: images at a time.
    """

    @tf.function(autograph=False)
    def predict(images):
        return tf.argmax(logits_fn(tf.cast(images, tf.float32) / 255), axis=1)

    def count():
        places = padded_batches(np.arange(len(dataset)), min(batch_size, len(dataset)))
        found = [predict(tf.constant(dataset.images[rows])).numpy() for rows, _ in places]
        return len(np.unique(np.concatenate(found)))

    return count
