"""Batched image operations with explicit parameters; nothing here is random.

Every function maps images [B, H, W, 3] in [0, 1] to images of the same shape and
dtype: result row i depends on image i and on its parameters alone. Color operations follow
torchvision's definitions.

The blur is that of tensorflow-addons, which is archived. Its last build has wheels up to Python
3.11, so the import happens where an option asks for it and fails with one clear line elsewhere.
"""

import platform
import warnings

import numpy as np
import tensorflow as tf

from ascl_tf.errors import RunError

BRIGHTNESS, CONTRAST, SATURATION = range(3)

# torchvision's weights (ITU-R BT.601 to four digits, so their sum is 0.9999).
GRAY_WEIGHTS = (0.2989, 0.587, 0.114)


def flip(images, is_flipped):
    """Returns the images, mirrored left to right where `is_flipped` (bool [B])."""
    return select(is_flipped, tf.reverse(images, axis=[2]), images)


def shift_crop(images, offsets_y, offsets_x, pad):
    """Zero-pads by `pad` pixels on each side and cuts out a window of the old size.

    Args:
        images: [B, H, W, 3].
        offsets_y, offsets_x: int [B], each in [0, 2 * pad]; `pad` leaves the image as it is.
        pad: Python int >= 0, pixels.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    rows = offsets_y[:, tf.newaxis] + tf.range(height, dtype=offsets_y.dtype)
    columns = offsets_x[:, tf.newaxis] + tf.range(width, dtype=offsets_x.dtype)
    return _take(_take(padded, rows, axis=1), columns, axis=2)


def crop_and_resize(images, top, left, height, width):
    """Cuts out one box per image and resizes it bilinearly to the size of the image.

    Pixel centers lie at half integers, and the edge of the box is repeated, so that nothing
    outside the box enters. There is no antialiasing, since a box is never larger than the
    image; Pillow's and torchvision's bilinear resize are the same function then.

    Args:
        images: [B, H, W, 3], any float dtype, which the arithmetic keeps.
        top, left, height, width: int [B], in pixels; the box lies inside the image.
    """
    # Gathers instead of interpolation matrices: a matrix product would run in TF32 on a GPU.
    images = _resample(images, top, height, axis=1)
    return _resample(images, left, width, axis=2)


def to_grayscale(images):
    """Returns the images in gray, three equal channels: 0.2989 R + 0.587 G + 0.114 B."""
    return tf.repeat(_luma(images), 3, axis=3)


def adjust_tone(images, tone, factor):
    """Changes brightness, contrast or saturation, a choice per image.

        result = clip(factor * image + (1 - factor) * base, 0, 1)

    where base is black for `BRIGHTNESS`, the mean of the image in gray for `CONTRAST`, and
    the image in gray for `SATURATION`, as in torchvision. A factor of 1 changes nothing.

    Args:
        images: [B, H, W, 3] in [0, 1].
        tone: int [B], each `BRIGHTNESS`, `CONTRAST` or `SATURATION`.
        factor: [B], dtype of `images`, >= 0.
    """
    luma = _luma(images)  # [B, H, W, 1]
    tone, factor = _per_image(tone), _per_image(factor)
    base = tf.where(tone == SATURATION, luma, _image_mean(luma))
    base = tf.where(tone == BRIGHTNESS, tf.zeros_like(base), base)
    return tf.clip_by_value(factor * images + (1.0 - factor) * base, 0.0, 1.0)


def adjust_hue(images, shift):
    """Turns the hue of each image by `shift`, in turns of the hue circle ([B]).

    Saturation and value of HSV stay as they are; gray pixels do not change.
    """
    red, green, blue = tf.unstack(images, axis=3)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    sixths = tf.where(
        value == red,
        green - blue,
        tf.where(value == green, 2.0 * chroma + blue - red, 4.0 * chroma + red - green),
    )
    sixths = tf.math.divide_no_nan(sixths, chroma) + 6.0 * shift[:, tf.newaxis, tf.newaxis]
    channels = [_hsv_channel(sixths + number, value, chroma) for number in (5.0, 3.0, 1.0)]
    return tf.stack(channels, axis=3)


def jitter_color(images, factors, hue_shift, *, tone_order, hue_place):
    """Changes brightness, contrast, saturation and hue in an order of each image's own.

    Args:
        images: [B, H, W, 3], float in [0, 1].
        factors: [B, 3], dtype of `images`: of brightness, contrast, saturation (1: unchanged).
        hue_shift: [B], dtype of `images`, in turns of the hue circle.
        tone_order: int [B, 3], a permutation of `BRIGHTNESS`, `CONTRAST` and `SATURATION`
            per image.
        hue_place: int [B], how many of these three come before the hue, 0 to 3.
    """
    ordered_factors = tf.gather(factors, tone_order, batch_dims=1)  # [B, 3]
    is_before = tf.range(3, dtype=hue_place.dtype) < hue_place[:, tf.newaxis]  # [B, 3]
    one = tf.ones_like(ordered_factors)
    # The hue costs most, so it is turned only once: each tone has a place on either side
    # of it, and at one of the two its factor is 1, which changes nothing.
    images = _adjust_tones(images, tone_order, tf.where(is_before, ordered_factors, one))
    images = adjust_hue(images, hue_shift)
    return _adjust_tones(images, tone_order, tf.where(is_before, one, ordered_factors))


def select(condition, images, other_images):
    """Returns `images` where `condition` (bool [B]) holds, else `other_images`."""
    return tf.where(_per_image(condition), images, other_images)


def _adjust_tones(images, tones, factors):
    for place in range(3):
        images = adjust_tone(images, tones[:, place], factors[:, place])
    return images


def _hsv_channel(sixths, value, chroma):
    # One formula for R, G and B, which differ by an offset on the hue circle of length 6.
    position = tf.math.floormod(sixths, 6.0)
    return value - chroma * tf.clip_by_value(tf.minimum(position, 4.0 - position), 0.0, 1.0)


def _luma(images):
    red, green, blue = tf.split(images, 3, axis=3)
    return GRAY_WEIGHTS[0] * red + GRAY_WEIGHTS[1] * green + GRAY_WEIGHTS[2] * blue


def _image_mean(luma):
    """Returns each image's mean, [B, 1, 1, 1], added up in an order that B does not change."""
    # tf.reduce_mean picks its order by the shape, so the last bit would depend on B.
    num_pixels = luma.shape[1] * luma.shape[2]
    sums = tf.reshape(luma, [-1, num_pixels])
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        folded = sums[:, :half] + sums[:, half : 2 * half]
        sums = tf.concat([folded, sums[:, 2 * half :]], axis=1)
    # The graph optimizer turns a division into this; eagerly it would stay a division.
    return _per_image(sums[:, 0] * (1.0 / num_pixels))


def _resample(images, start, length, axis):
    size = images.shape[axis]
    scale = tf.cast(length, images.dtype) * (1.0 / size)
    centers = (tf.range(size, dtype=images.dtype) + 0.5) * scale[:, tf.newaxis] - 0.5
    last = length[:, tf.newaxis] - 1
    centers = tf.clip_by_value(centers, 0.0, tf.cast(last, images.dtype))  # [B, size]
    below = tf.cast(tf.floor(centers), last.dtype)
    weight = centers - tf.cast(below, images.dtype)
    weight = weight[:, :, tf.newaxis] if axis == 1 else weight[:, tf.newaxis]
    weight = weight[..., tf.newaxis]
    start = start[:, tf.newaxis]
    lower = _take(images, start + below, axis)
    upper = _take(images, start + tf.minimum(below + 1, last), axis)
    return lower + weight * (upper - lower)


def _take(images, indices, axis):
    return tf.gather(images, indices, axis=axis, batch_dims=1)


def _per_image(parameter):
    return parameter[:, tf.newaxis, tf.newaxis, tf.newaxis]


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
        blurred = select(tf.equal(choice, index), candidate, blurred)
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
