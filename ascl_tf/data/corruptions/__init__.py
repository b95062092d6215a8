"""The 19 common corruptions of CIFAR-10-C at 5 severities, for whole batches.

    corrupted = corrupt(images, "gaussian_noise", 3, seed=0)

Definitions and constants are those of the published data set (Hendrycks and Dietterich 2019,
arXiv:1903.12261); its random numbers are not, since it was made without a seed.
"""

import numbers

import numpy as np

from ascl_tf.data.corruptions import blur, digital, noise, spatter, weather
from ascl_tf.data.corruptions.noise import ImageDraws
from ascl_tf.data.corruptions.pixels import as_bytes
from ascl_tf.data.corruptions.severities import SEVERITIES
from ascl_tf.data.corruptions.weather import FrostTextures, larger_textures, load_frost_textures

__all__ = [
    "BENCHMARK_CORRUPTIONS",
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "SEVERITIES",
    "FrostTextures",
    "check_images",
    "corrupt",
    "load_frost_textures",
]

_BENCHMARK = (
    noise.gaussian_noise,
    noise.shot_noise,
    noise.impulse_noise,
    blur.defocus_blur,
    blur.glass_blur,
    blur.motion_blur,
    blur.zoom_blur,
    weather.snow,
    weather.frost,
    weather.fog,
    weather.brightness,
    digital.contrast,
    digital.elastic_transform,
    digital.pixelate,
    digital.jpeg_compression,
)
_EXTRA = (noise.speckle_noise, blur.gaussian_blur, spatter.spatter, digital.saturate)
_FUNCTIONS = {function.__name__: function for function in (*_BENCHMARK, *_EXTRA)}

BENCHMARK_CORRUPTIONS = tuple(function.__name__ for function in _BENCHMARK)
EXTRA_CORRUPTIONS = tuple(function.__name__ for function in _EXTRA)
CORRUPTIONS = BENCHMARK_CORRUPTIONS + EXTRA_CORRUPTIONS

# What is computed at once fits into the cache; no number depends on it.
_BLOCK_SIZE = 64
_SMALLEST_SIDE = 8
# Keeps these draws apart from others with the same seed.
_STREAM = 0xC1FA << 16


def corrupt(
    images: np.ndarray,
    corruption: str,
    severity: int,
    seed: int,
    *,
    frost_textures: FrostTextures | None = None,
    first_position: int = 0,
) -> np.ndarray:
    """Returns corrupted images, as the makers of CIFAR-10-C define it.

    Values are truncated to bytes, not rounded, as in the published data. Row i depends on the
    image, the arguments and the position `first_position` + i alone: the random numbers come
    from Philox with the key (seed, corruption and severity) and a counter per position.

    Args:
        images: uint8 [N, H, W, 3], H and W >= 8. At sizes other than 32 lengths in pixels stay
            as they are, but for pixelate and elastic_transform, which scale with the image.
        corruption: a name of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Python int, 0 <= seed < 2**64.
        frost_textures: `FrostTextures` for frost; None takes those of `load_frost_textures()`.
            Those no larger than an image are enlarged by the least whole factor that makes them
            larger.
        first_position: place of the first image in its data set.

    Returns:
        uint8 [N, H, W, 3].

    Raises:
        ValueError: if an argument is not as above.

    Example:
        >>> black = np.zeros([1, 32, 32, 3], np.uint8)
        >>> int(corrupt(black, "brightness", 1, seed=0).max())
        12
    """
    images = np.asarray(images)
    check_images(images)
    _check_settings(corruption, severity, seed, first_position)
    extra = {}
    if corruption == "frost":
        textures = frost_textures or load_frost_textures()
        extra["textures"] = larger_textures(textures, max(images.shape[1:3]))
    # The order of CORRUPTIONS is part of what a seed means.
    stream = _STREAM + 8 * CORRUPTIONS.index(corruption) + severity
    corrupted = np.empty_like(images)
    for begin in range(0, len(images), _BLOCK_SIZE):
        block = images[begin : begin + _BLOCK_SIZE]
        draws = ImageDraws(seed, stream, first_position + begin, len(block))
        values = _FUNCTIONS[corruption](block, severity, draws, **extra)
        is_bytes = values.dtype == np.uint8
        corrupted[begin : begin + len(block)] = values if is_bytes else as_bytes(values)
    return corrupted


def check_images(images: np.ndarray) -> None:
    """Raises ValueError unless `images` (array) are what `corrupt` takes."""
    shape = images.shape
    fits = images.dtype == np.uint8 and len(shape) == 4 and shape[3] == 3
    if not fits or min(shape[1:3]) < _SMALLEST_SIDE:
        raise ValueError(
            f"`images` must be uint8 with shape [N, H, W, 3], H and W >= {_SMALLEST_SIDE}; "
            f"received {images.dtype} with shape {shape}."
        )


def _check_settings(corruption: str, severity: int, seed: int, first_position: int) -> None:
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"`corruption` must be one of {', '.join(CORRUPTIONS)}; received {corruption!r}."
        )
    # 1.0 is equal to 1, and no index.
    if not isinstance(severity, numbers.Integral) or severity not in SEVERITIES:
        raise ValueError(f"`severity` must be 1 to {SEVERITIES[-1]}; received {severity!r}.")
    for name, value in (("seed", seed), ("first_position", first_position)):
        if not isinstance(value, numbers.Integral) or not 0 <= value < 2**64:
            raise ValueError(f"`{name}` must be from 0 to 2**64 - 1; received {value}.")
