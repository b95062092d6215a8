"""Random views of images: weak (crop and flip) and strong (SimCLR).

Batched and stateless, for the compiled training step on the device:

    seeds = randomness.step_seeds(seed, purpose, step, positions)
    views = strong_view(images, seeds)

All numbers of one image come from one draw with its own seed. They are float32
and cast afterwards, so that a view is the same whatever the precision of images.
"""

import itertools
import math

import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.data import image_ops

# SimCLR's numbers for CIFAR-10 (Chen et al. 2020, arXiv:2002.05709, appendix A and B.9).
MAX_ASPECT_RATIO = 4 / 3
NUM_CROP_TRIES = 10
TONE_STRENGTH = 0.4
HUE_STRENGTH = 0.1
JITTER_PROBABILITY = 0.8
GRAYSCALE_PROBABILITY = 0.2
BLUR_PROBABILITY = 0.5
# Middles of eight equal parts of SimCLR's interval [0.1, 2].
BLUR_SIGMAS = tuple(0.1 + 1.9 * (part + 0.5) / 8 for part in range(8))

_TONES = (image_ops.BRIGHTNESS, image_ops.CONTRAST, image_ops.SATURATION)
_TONE_ORDERS = tuple(itertools.permutations(_TONES))
_CROP_NUMBERS = 2 * NUM_CROP_TRIES + 2
_JITTER_NUMBERS = 7
_BLUR_NUMBERS = 2


def weak_view(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the images after zero padding, random crop and random horizontal flip.

    The padding is an eighth of the height (4 pixels at 32), the window has the old size,
    each of its places is equally likely, and half of the images are mirrored.

    Args:
        images: [B, H, W, 3], float in [0, 1], with known H and W.
        seed: int32 [2], or int32 [B, 2] with one pair per image: then row i of the
            result depends on image i and pair i alone, whatever B is.

    Returns:
        Shape and dtype of `images`.

    Raises:
        ValueError: on shapes or dtypes other than the above.

    Example:
        >>> views = weak_view(tf.zeros([2, 32, 32, 3]), seed=[0, 0])
        >>> views.shape
        TensorShape([2, 32, 32, 3])
    """
    images = _checked_images(images)
    seed = _checked_seed(seed, images)
    numbers = randomness.uniform([tf.shape(images)[0], 3], seed)
    pad = images.shape[1] // 8
    offsets_y = _whole_number(numbers[:, 0], 2 * pad + 1)
    offsets_x = _whole_number(numbers[:, 1], 2 * pad + 1)
    images = image_ops.shift_crop(images, offsets_y, offsets_x, pad)
    return image_ops.flip(images, numbers[:, 2] < 0.5)


def strong_view(
    images: tf.Tensor,
    seed: tf.Tensor,
    *,
    gaussian_blur: bool = False,
    min_area: float = 0.2,
    strength: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Returns one SimCLR view of each image.

    In this order: a random box (area `min_area` to 1 of the image, aspect ratio 3/4 to 4/3 on a
    logarithmic scale, whole pixels; the first of ten tries that fits, else the largest
    central one) resized bilinearly to the old size; horizontal flip (1/2); color jitter
    (0.8): brightness, contrast and saturation times a factor from [0.6, 1.4], hue turned by
    [-0.1, 0.1] of the circle, the four in an order drawn per image; gray (0.2); with
    `gaussian_blur`, Gaussian blur (0.5). All as in torchvision's transforms on float images.

    Chen et al. 2020, arXiv:2002.05709, appendix A. Differs from SimCLR in the default of the
    smallest area (0.08 there; most public adversarial contrastive recipes take 0.2) and in the
    blur, whose sigma is one of eight evenly spaced values in [0.1, 2] (`BLUR_SIGMAS`) instead of
    any. The kernel is a tenth of the height, made odd (3 pixels at 32); below a height of 20 it
    is one pixel, which changes nothing. Whether the blur is on changes no other number of a view.

    A `strength` s below 1 weakens the view as DynACL does (Luo et al. 2023, arXiv:2303.01289):
    the area is at least 1 - s * (1 - min_area), factors and hue turns spread s times as far,
    jitter and gray are s times as likely. At 0 the flip (and the blur) is all that is left.

    Args:
        images: [B, H, W, 3], float in [0, 1], with known H and W.
        seed: int32 [2], or int32 [B, 2] with one pair per image: then row i of the
            result depends on image i and pair i alone, whatever B is.
        gaussian_blur: bool; needs tensorflow-addons (Python up to 3.11).
        min_area: Python number in (0, 1], the smallest share of the image in the box.
        strength: Python number or float scalar, in [0, 1].

    Returns:
        Shape and dtype of `images`, in [0, 1].

    Raises:
        ValueError: on shapes, dtypes or a `min_area` other than the above.
        RunError: if `gaussian_blur` is asked for and tensorflow-addons is missing.

    Example:
        >>> images = tf.random.stateless_uniform([1, 32, 32, 3], [0, 0])
        >>> view, again = (strong_view(images, seed=[[0, 1]]) for _ in range(2))
        >>> bool(tf.reduce_all(view == again)), bool(tf.reduce_all(view == images))
        (True, False)
    """
    images = _checked_images(images)
    seed = _checked_seed(seed, images)
    if not 0 < min_area <= 1:
        raise ValueError(f"`min_area` must be in (0, 1]; received {min_area}.")
    sizes = [_CROP_NUMBERS, 1, _JITTER_NUMBERS, 1, _BLUR_NUMBERS]
    numbers = randomness.uniform([tf.shape(images)[0], sum(sizes)], seed)
    crop, mirror, jitter, gray, blur = tf.split(numbers, sizes, axis=1)
    # Bounds are computed in float64: at strength 1 they are exactly those of the full view.
    strength = _scalar(strength, tf.float64)
    min_area = min_area * strength + (1 - strength)
    box = random_box(crop, images.shape[1], images.shape[2], min_area)
    views = image_ops.crop_and_resize(images, *box)
    views = image_ops.flip(views, mirror[:, 0] < 0.5)
    views = _random_jitter(views, jitter, strength)
    is_gray = gray[:, 0] < _scalar(GRAYSCALE_PROBABILITY * strength, gray.dtype)
    views = image_ops.select(is_gray, image_ops.to_grayscale(views), views)
    if gaussian_blur:
        views = _random_blur(views, blur)
    return tf.clip_by_value(views, 0.0, 1.0)


def random_box(
    numbers: tf.Tensor, image_height: int, image_width: int, min_area: float | tf.Tensor = 0.2
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns one box per image as torchvision's `RandomResizedCrop` chooses it.

    Args:
        numbers: [B, 22], uniform in [0, 1): ten areas, ten aspect ratios, two places.
        image_height, image_width: Python ints, in pixels.
        min_area: the smallest share of the image, Python number or float64 scalar.

    Returns:
        top, left, height, width: int32 [B] each, in pixels, inside the image.
    """
    # In float64, an exp that differs in its last bit between devices, or between places in
    # a batch, practically never changes a whole number of pixels.
    numbers = tf.cast(numbers, tf.float64)
    areas, ratios, places = tf.split(numbers, [NUM_CROP_TRIES, NUM_CROP_TRIES, 2], axis=1)
    areas = image_height * image_width * _between(areas, min_area, 1.0)
    log_ratio = math.log(MAX_ASPECT_RATIO)
    ratios = tf.exp(_between(ratios, -log_ratio, log_ratio))
    heights = tf.cast(tf.round(tf.sqrt(areas / ratios)), tf.int32)
    widths = tf.cast(tf.round(tf.sqrt(areas * ratios)), tf.int32)
    is_valid = (heights > 0) & (heights <= image_height) & (widths > 0) & (widths <= image_width)
    tries = tf.where(is_valid, tf.range(NUM_CROP_TRIES), NUM_CROP_TRIES)
    first = tf.reduce_min(tries, axis=1)  # [B]
    has_box = first < NUM_CROP_TRIES
    chosen = tf.minimum(first, NUM_CROP_TRIES - 1)
    full_height, full_width = _central_box(image_height, image_width)
    height = tf.where(has_box, tf.gather(heights, chosen, batch_dims=1), full_height)
    width = tf.where(has_box, tf.gather(widths, chosen, batch_dims=1), full_width)
    top = _whole_number(places[:, 0], image_height - height + 1)
    left = _whole_number(places[:, 1], image_width - width + 1)
    top = tf.where(has_box, top, (image_height - height) // 2)
    left = tf.where(has_box, left, (image_width - width) // 2)
    return top, left, height, width


def _central_box(image_height: int, image_width: int) -> tuple[int, int]:
    """Returns height and width of the largest box within the aspect ratios, Python ints."""
    height = min(image_height, round(image_width * MAX_ASPECT_RATIO))
    width = min(image_width, round(image_height * MAX_ASPECT_RATIO))
    return height, width


def _random_jitter(images: tf.Tensor, numbers: tf.Tensor, strength: float | tf.Tensor) -> tf.Tensor:
    """Returns the images, jittered with probability 0.8 * strength, from uniform [B, 7]."""
    tone, hue = TONE_STRENGTH * strength, HUE_STRENGTH * strength
    factors = _between(numbers[:, :3], 1.0 - tone, 1.0 + tone)
    hue_shift = _between(numbers[:, 3], -hue, hue)
    # An order of three and a place for the fourth: each of the 24 orders is equally likely.
    tone_order = tf.gather(_TONE_ORDERS, _whole_number(numbers[:, 4], len(_TONE_ORDERS)))
    hue_place = _whole_number(numbers[:, 5], 4)
    jittered = image_ops.jitter_color(
        images,
        tf.cast(factors, images.dtype),
        tf.cast(hue_shift, images.dtype),
        tone_order=tone_order,
        hue_place=hue_place,
    )
    is_jittered = numbers[:, 6] < _scalar(JITTER_PROBABILITY * strength, numbers.dtype)
    return image_ops.select(is_jittered, jittered, images)


def _random_blur(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns the images, blurred with probability 1/2, from uniform [B, 2]."""
    choice = _whole_number(numbers[:, 1], len(BLUR_SIGMAS))
    choice = tf.where(numbers[:, 0] < BLUR_PROBABILITY, choice, -1)
    kernel_size = 2 * (images.shape[1] // 10 // 2) + 1
    return image_ops.blur_with_choice(images, choice, kernel_size=kernel_size, sigmas=BLUR_SIGMAS)


def _between(numbers: tf.Tensor, low: float | tf.Tensor, high: float | tf.Tensor) -> tf.Tensor:
    """Maps uniform numbers in [0, 1) to [low, high): Python numbers or float64 scalars."""
    return _scalar(low, numbers.dtype) + _scalar(high - low, numbers.dtype) * numbers


def _scalar(value: float | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Returns a Python number or a float scalar as `dtype`, rounded once."""
    if tf.is_tensor(value):
        return tf.cast(value, dtype)
    return tf.constant(value, dtype)


def _whole_number(numbers: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Maps uniform numbers in [0, 1) to equally likely int32 0, ..., count - 1."""
    return tf.cast(tf.floor(numbers * tf.cast(count, numbers.dtype)), tf.int32)


def _checked_images(images: tf.Tensor) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    shape = images.shape
    if shape.rank != 4 or shape[3] != 3 or None in (shape[1], shape[2]):
        raise ValueError(
            f"`images` must have shape [B, H, W, 3] with known H and W; received {shape}."
        )
    if not images.dtype.is_floating:
        raise ValueError(f"`images` must be float in [0, 1]; received dtype {images.dtype.name}.")
    return images


def _checked_seed(seed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    seed = tf.convert_to_tensor(seed, tf.int32)
    if seed.shape.rank == 2 and not seed.shape[:1].is_compatible_with(images.shape[:1]):
        raise ValueError(
            "`seed` must have shape [2], or [B, 2] with one pair per image; "
            f"received {seed.shape} for {images.shape[0]} images."
        )
    return seed
