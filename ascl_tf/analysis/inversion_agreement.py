"""Whether the images that raise a component look alike, wherever the search for them began."""

import numpy as np
import tensorflow as tf

from ascl_tf.analysis.features import as_features_function, compile_once
from ascl_tf.analysis.inversion_choices import noise_images
from ascl_tf.analysis.inversion_search import climb


def agreement_of_components(
    features_fn, components, image_shape, *, num_steps=200, step_size=0.5, seed=0
):
    """Returns how much two images that raise the same component resemble each other, [K].

    With x_1 and x_2 the images that raise component i most, found from two independent noise
    images, it is the correlation of x_1 and x_2 over pixels: 1 if the component has one image, 0
    on average if each search ends in one of its own, or stays at its noise. The paper's Figure 2
    shows it to the eye.

    Args:
        features_fn: as for `ascl_tf.analysis.features.as_features_function`.
        components: K ints.
        image_shape: (H, W, C).
        num_steps, step_size: of the search, as for `ascl_tf.analysis.inversion.invert_features`.
        seed: Python int, of the noise.

    Returns:
        NumPy float64 [K], from -1 to 1; 0 where an image is of one color.
    """
    starts = np.repeat(noise_images(2, image_shape, seed=seed), len(components), axis=0)
    which = tf.constant(np.tile(components, 2), tf.int32)
    features_fn = as_features_function(features_fn)

    def values_of(images):
        return tf.gather(features_fn(images), which, batch_dims=1)

    search = compile_once(
        lambda images: climb(values_of, images, num_steps, step_size)[0], starts.shape
    )
    images = search(tf.constant(starts)).numpy().astype(np.float64)
    images = images.reshape(2, len(components), -1)
    centered = images - images.mean(axis=2, keepdims=True)
    first, second = centered / np.maximum(np.linalg.norm(centered, axis=2, keepdims=True), 1e-12)
    return np.sum(first * second, axis=1)
