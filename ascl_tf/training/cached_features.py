"""Features of the training images, computed once where every step would compute the same.

They are so behind a frozen encoder without augmentation (`--finetune_augmentation=none`).
lsf then trains its linear layer on them alone; laf saves the natural images' pass.
"""

import dataclasses

from ascl_tf.methods.linear_probe import compute_features
from ascl_tf.models import ADVERSARIAL


def with_fixed_features(method, dataset):
    """Returns `dataset` with the features that `method` finds; as it is where they change.

    In inference mode, adversarial branch, as a step has them.
    """
    if not method.has_fixed_features:
        return dataset
    features = compute_features(method.encoder, dataset.images, branch=ADVERSARIAL)
    return dataclasses.replace(dataset, features=features)
