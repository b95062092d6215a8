"""Images without their low spatial frequencies."""

import numpy as np
import tensorflow as tf


def high_frequency_component(images, *, radius):
    """Returns what is left of images without the frequencies nearer to zero than `radius`.

    Each channel on its own: the discrete Fourier transform F, a mask, and the way back,

        F^-1( F(x) * [ sqrt(u^2 + v^2) >= radius ] ),

    with u and v in whole periods per height and width, in -H/2..H/2 and -W/2..W/2. The
    mean of a channel, frequency zero, is gone from a radius of 1 on, so that values lie
    around 0 and may be negative. Fan et al. 2021, arXiv:2111.01124.

    Args:
        images: [B, H, W, C], float32 or float64, with known H and W.
        radius: number >= 0; 0 leaves the images as they are.

    Returns:
        Shape and dtype of `images`.

    Raises:
        ValueError: on shapes, dtypes or radii other than the above.
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4 or None in images.shape[1:3]:
        raise ValueError(
            f"`images` must have shape [B, H, W, C] with known H and W; received {images.shape}."
        )
    if images.dtype not in (tf.float32, tf.float64):
        raise ValueError(f"`images` must be float32 or float64; received {images.dtype.name}.")
    if not radius >= 0:
        raise ValueError(f"`radius` must be >= 0; received {radius}.")
    size = images.shape[1:3].as_list()
    channels = tf.transpose(images, [0, 3, 1, 2])  # [B, C, H, W]
    # Real images: half of the frequencies say it all, and the way back is real by itself.
    spectrum = tf.signal.rfft2d(channels)  # [B, C, H, W // 2 + 1]
    spectrum *= tf.constant(_is_far(*size, radius), spectrum.dtype)
    return tf.transpose(tf.signal.irfft2d(spectrum, fft_length=size), [0, 2, 3, 1])


def _is_far(height, width, radius):
    """Returns float [H, W // 2 + 1]: 1 where a frequency lies at least `radius` from zero."""
    rows = np.fft.fftfreq(height, 1 / height)[:, None]
    columns = np.fft.rfftfreq(width, 1 / width)[None, :]
    return (np.hypot(rows, columns) >= radius).astype(np.float64)
