"""What the network computes in while it trains, `--precision`.

bfloat16 is Keras' mixed policy, given to layers when they are built: variables, batch
statistics, logits and unit projections, and whatever is computed from these, stay float32.
What is built without it, for evaluation and export, is float32 and reads the same checkpoints.
"""

import contextlib

import keras

from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.models.averaged import copy_variables

FLOAT32, BFLOAT16 = "float32", "bfloat16"


@contextlib.contextmanager
def layers_in(precision):
    """Lets layers that are built inside compute in `precision`, whatever they are called in.

    Under "float32" they have Keras' own policy, which tests set to float64.
    """
    before = keras.config.dtype_policy()
    if precision == BFLOAT16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_evaluated_classifier(config, method, dataset):
    """Returns (classifier, refresh): what is validated, and a function to call before.

    The classifier of `method` itself, or its float32 twin, whose weights `refresh` sets: the
    best checkpoint is chosen as the evaluation will see it.

    Args:
        config: `Config` of the run.
        method: `Method` with a classifier.
        dataset: `ImageDataset`, for the shape of images and the number of classes.
    """
    if config.precision == FLOAT32:
        return method.classifier, lambda: None
    twin = make_finetune_method(
        config, num_classes=dataset.num_classes, image_shape=dataset.image_shape
    ).classifier
    return twin, lambda: copy_variables(method.classifier, twin)
