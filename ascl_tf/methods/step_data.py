"""What one training step hands from function to function, from a batch and its views on.

Each of its random numbers has a `Purpose`.
"""

import enum
import functools
from typing import NamedTuple

import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.config import DataSettings
from ascl_tf.data.views import strong_view, weak_view
from ascl_tf.loops import traced_when_eager


class Purpose(enum.IntEnum):
    """What random numbers of one step are for; numbers of two purposes never coincide."""

    WEAK_VIEW = 1
    STRONG_VIEW_0 = 2
    STRONG_VIEW_1 = 3
    ATTACK_AT = 4
    ATTACK_CL_0 = 5
    ATTACK_CL_1 = 6
    ATTACK_ASCL = 7
    ATTACK_CE = 8
    ATTACK_PRETEXT = 9
    PATCHES = 10
    ROTATION = 11
    JIGSAW = 12
    ATTACK_ASCL_1 = 13
    ATTACK_ROTATION = 14
    ATTACK_JIGSAW = 15


class Batch(NamedTuple):
    """A replica's part of the global batch."""

    images: tf.Tensor  # [B, H, W, 3] float in [0, 1]
    labels: tf.Tensor  # [B] int32, -1 = unlabeled
    seeds: "StepSeeds"
    pseudo_labels: tf.Tensor | None = None  # [B, number of clusterings] int32
    features: tf.Tensor | None = None  # [B, F] float, where they are the same in every step


class StepSeeds(NamedTuple):
    """The seeds of one step: `seeds(purpose)` is int32 [B, 2], one pair per image."""

    seed: int
    step: tf.Tensor
    positions: tf.Tensor

    def __call__(self, purpose: int) -> tf.Tensor:
        return randomness.step_seeds(self.seed, int(purpose), self.step, self.positions)


class Term(NamedTuple):
    """One term of an objective: weight * mean of `per_row` over the global batch."""

    per_row: tf.Tensor
    weight: float = 1.0
    mask: tf.Tensor | None = None  # Rows that count; None: all.


class Outputs(NamedTuple):
    """What a method's forward passes yield."""

    terms: dict[str, Term]
    robust_logits: tf.Tensor | None = None
    projections: tf.Tensor | None = None


# Outputs, means of loss and terms by name, gradients.
Differentiated = tuple[Outputs, dict[str, tf.Tensor], list[tf.Tensor]]


def first_position(num_local_images: int | tf.Tensor) -> int | tf.Tensor:
    """Returns where this replica's part begins in the global batch, an int or int32 scalar."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group * num_local_images


def make_weak_view(batch: Batch, augmentation: str) -> tf.Tensor:
    """Returns the weakly augmented images of a batch, or the images themselves for "none"."""
    if augmentation == "none":
        return batch.images
    return _weak_view(batch.images, batch.seeds(Purpose.WEAK_VIEW))


def make_attacked_view(batch: Batch, augmentation: str) -> dict[str, tf.Tensor]:
    """Returns the views of a method that attacks weak views once: images, labels, seeds."""
    images = make_weak_view(batch, augmentation)
    return {"images": images, "labels": batch.labels, "seed_at": batch.seeds(Purpose.ATTACK_AT)}


def make_strong_views(
    batch: Batch, data: DataSettings, *, strength: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """Returns two independent strong views of each image, [2B, H, W, 3], view-major."""
    make = functools.partial(
        _strong_view,
        batch.images,
        gaussian_blur=data.gaussian_blur,
        min_area=data.min_crop_area,
        strength=strength,
    )
    purposes = (Purpose.STRONG_VIEW_0, Purpose.STRONG_VIEW_1)
    return tf.concat([make(batch.seeds(purpose)) for purpose in purposes], axis=0)


_weak_view, _strong_view = traced_when_eager(weak_view), traced_when_eager(strong_view)
