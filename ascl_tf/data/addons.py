"""What the project uses of tensorflow-addons; the only module that imports it.

tensorflow-addons is archived. Its last build has wheels up to Python 3.11, so the
import happens where an option asks for it and fails with one clear line elsewhere.
"""

import platform
import warnings

import tensorflow as tf

from ascl_tf.data import image_ops
from ascl_tf.errors import RunError


def blur_with_choice(images, choice, *, kernel_size, sigmas):
    """Blurs each image with one Gaussian out of a fixed list.

    `tfa.image.gaussian_filter2d` takes one Python number as sigma for the whole batch;
    so every sigma of the list is applied to all images and each image takes its own.

    Args:
        images: [B, H, W, C], float.
        choice: int [B]; row i is blurred with `sigmas[choice[i]]`, and left as it is
            where that index is not in the list (-1).
        kernel_size: odd Python int, in pixels, at most 2 * min(H, W) - 1.
        sigmas: Python floats > 0, standard deviations in pixels; only they are rounded to
            float32, the rest is computed in the dtype of `images`.

    Returns:
        Shape and dtype of `images`. Outside the image, pixels are mirrored at the edge pixel.

    Raises:
        RunError: if tensorflow-addons cannot be imported.
    """
    gaussian_filter2d = _load_gaussian_filter2d()
    blurred = images
    for index, sigma in enumerate(sigmas):
        candidate = gaussian_filter2d(images, kernel_size, sigma)
        blurred = image_ops.select(tf.equal(choice, index), candidate, blurred)
    return blurred


def _load_gaussian_filter2d():
    try:
        with warnings.catch_warnings():
            # On import it warns of its end of life and of TensorFlow versions.
            warnings.simplefilter("ignore")
            import tensorflow_addons as tfa
    except ImportError as error:
        raise RunError(
            field="gaussian_blur",
            expected="tensorflow-addons, whose wheels go up to Python 3.11",
            found=f"none that Python {platform.python_version()} can import",
        ) from error
    # Its tf.function would be traced once per sigma, with a warning on retracing.
    return tfa.image.gaussian_filter2d.python_function
