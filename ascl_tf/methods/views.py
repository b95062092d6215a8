"""Views of a batch: the weak one, and the two strong ones that contrastive methods compare."""

import tensorflow as tf

from ascl_tf.config import DataSettings
from ascl_tf.data.views import strong_view, weak_view
from ascl_tf.methods.step_data import Batch, Purpose


def make_weak_view(batch: Batch, augmentation: str) -> tf.Tensor:
    """Returns the weakly augmented images of a batch, or the images themselves for "none"."""
    if augmentation == "none":
        return batch.images
    return _weak_view(batch.images, batch.seeds(Purpose.WEAK_VIEW))


def make_strong_views(
    batch: Batch, data: DataSettings, *, strength: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """Returns two independent strong views of each image, [2B, H, W, 3], view-major."""
    purposes = (Purpose.STRONG_VIEW_0, Purpose.STRONG_VIEW_1)
    return _strong_view(
        tf.concat([batch.images, batch.images], axis=0),
        tf.concat([batch.seeds(purpose) for purpose in purposes], axis=0),
        gaussian_blur=data.gaussian_blur,
        min_area=data.min_crop_area,
        strength=strength,
    )


# Graphs even where the step is eager, in which a view's 1,300 small operations take most of the
# time.
_weak_view, _strong_view = (tf.function(view, autograph=False) for view in (weak_view, strong_view))
