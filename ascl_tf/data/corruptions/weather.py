"""Weather: snow, frost, fog, brightness.

The benchmark's photographs of frost come with no license file by file and are not part of this
package. They are read from a folder, or from an installed distribution `imagecorruptions`,
whose code is never executed; else a substitute is computed.
"""

import functools
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.blur import clipped_zoom_matrix, motion_blur_bytes
from ascl_tf.data.corruptions.noise import ImageDraws
from ascl_tf.data.corruptions.pixels import as_bytes, as_unit, gray, with_value
from ascl_tf.errors import RunError

PEER = "imagecorruptions"
PROCEDURAL = "frost_procedural"
# A sixth photograph exists; the published code never draws it.
FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
# The published code scales by 1/5 without a filter: pixel 2 of every five.
_CENTER, _STEP = 2, 5
_PROCEDURAL_SIZE = 128

# First amplitude of the fog; only its ratio to the later ones matters.
_FIRST_WOBBLE = 100.0


def brightness(images, severity, draws):
    """Adds a constant to the value of HSV."""
    offset = severities.BRIGHTNESS[severity - 1]
    return with_value(as_unit(images), lambda value: np.clip(value + offset, 0, 1))


def snow(images, severity, draws):
    """Whitens the picture and adds smeared flakes, once upright and once upside down."""
    setting = severities.SNOW[severity - 1]
    layer = as_unit(_snow_layer(images.shape[1:3], setting, draws), np.float32)
    values = as_unit(images, np.float32)
    whitened = np.maximum(values, gray(values) * np.float32(1.5) + np.float32(0.5))
    share = np.float32(setting.picture_share)
    return share * values + (1 - share) * whitened + layer + layer[:, ::-1, ::-1]


def _snow_layer(shape, setting, draws):
    """Returns the flakes, uint8 [N, *shape, 1]; `shape`: height and width."""
    flakes = setting.mean + setting.spread * draws.standard_normal(shape)
    rows, columns = (clipped_zoom_matrix(size, setting.zoom) for size in shape)
    flakes = rows @ flakes @ columns.T
    flakes[flakes < setting.threshold] = 0
    angles = draws.uniform(-135, -45, ())
    return motion_blur_bytes(as_bytes(flakes)[..., None], angles, setting.radius, setting.sigma)


def fog(images, severity, draws):
    """Adds a cloud and darkens the sum to the old maximum."""
    amount, decay = severities.FOG[severity - 1]
    values = as_unit(images)
    brightest = values.max(axis=(1, 2, 3), keepdims=True)
    height, width = images.shape[1:3]
    cloud = plasma(_power_of_two(max(height, width)), decay, draws)[:, :height, :width, None]
    return (values + amount * cloud) * brightest / (brightest + amount)


def _power_of_two(size):
    return 1 << (size - 1).bit_length()


def plasma(size, decay, draws):
    """Returns clouds from 0 to 1, float64 [N, size, size], by the diamond-square algorithm.

    The map wraps around. A new point is the mean of the four around it plus w U(-w, w); the
    wobble w is divided by `decay` whenever the grid gets finer.

    Args:
        size: a power of two.
        decay: Python float.
        draws: `ImageDraws`.
    """
    heights, step, wobble = np.zeros((1, 1, 1)), size, _FIRST_WOBBLE
    while step > 1:
        cells = heights.shape[1]
        noise = wobble * draws.uniform(-wobble, wobble, (3, cells, cells)).astype(np.float64)
        heights = _refine(heights, noise)
        step, wobble = step // 2, wobble / decay
    heights = heights - heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def _refine(heights, noise):
    """Returns maps of twice the side: the old points, centers, and points between."""
    below, right = np.roll(heights, -1, axis=1), np.roll(heights, -1, axis=2)
    diagonal = np.roll(below, -1, axis=2)
    centers = (heights + below + right + diagonal) / 4 + noise[:, 0]
    between_columns = (centers + np.roll(centers, 1, axis=1) + heights + right) / 4 + noise[:, 1]
    between_rows = (centers + np.roll(centers, 1, axis=2) + heights + below) / 4 + noise[:, 2]
    num_images, cells = centers.shape[:2]
    finer = np.empty((num_images, 2 * cells, 2 * cells))
    finer[:, ::2, ::2], finer[:, ::2, 1::2] = heights, between_columns
    finer[:, 1::2, ::2], finer[:, 1::2, 1::2] = between_rows, centers
    return finer


def frost(images, severity, draws, textures):
    """Lays a random piece of a random frost texture over the image.

    Args:
        textures: `FrostTextures`, larger than the images.
    """
    image_share, texture_share = severities.FROST[severity - 1]
    chances = draws.random((3,))
    pieces = np.stack([_piece(textures.images, images.shape[1:3], chance) for chance in chances])
    mixed = image_share * images.astype(np.float64) + texture_share * pieces
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _piece(textures, shape, chances):
    """Returns a part of a texture; three numbers from [0, 1) say which and where."""
    texture = textures[int(chances[0] * len(textures))]
    top, left = (
        int(chance * (length - size))
        for chance, length, size in zip(chances[1:], texture.shape[:2], shape, strict=True)
    )
    return texture[top : top + shape[0], left : left + shape[1]]


class FrostTextures(NamedTuple):
    """`images`: uint8 [H, W, 3] each; `name`: what records call them.

    The names are "folder", "imagecorruptions" and "frost_procedural"; numbers with the last
    cannot be compared with published ones.
    """

    name: str
    images: tuple[np.ndarray, ...]


def load_frost_textures(folder=None):
    """Returns the frost textures of a folder, else of `imagecorruptions`, else a substitute.

    Args:
        folder: holds frost1.png, frost2.png, frost3.png, frost4.jpg and frost5.jpg; None takes
            those of the installed distribution `imagecorruptions`, as files, without importing
            it, and procedural textures where it is not installed.

    Raises:
        RunError: if a photograph of `folder` is missing or unreadable.
    """
    if folder is not None:
        return FrostTextures("folder", _read_photographs(pathlib.Path(folder).expanduser()))
    return _textures_at_hand()


def larger_textures(textures, size):
    """Returns `FrostTextures` whose sides are all above `size` pixels.

    A texture that is large enough stays as it is; another is enlarged (bicubically) by the least
    whole factor. The published frost is for images of 32 pixels, where none is too small.
    """
    return textures._replace(images=tuple(_larger(image, size) for image in textures.images))


def _larger(image, size):
    height, width = image.shape[:2]
    factor = size // min(height, width) + 1
    if factor == 1:
        return image
    resized = Image.fromarray(image).resize(
        (factor * width, factor * height), Image.Resampling.BICUBIC
    )
    return np.asarray(resized)


@functools.cache
def _textures_at_hand():
    # Finding a top-level package does not execute it.
    spec = importlib.util.find_spec(PEER)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (pathlib.Path(place) / "frost" / FILES[0]).is_file():
            return FrostTextures(PEER, _read_photographs(pathlib.Path(place) / "frost"))
    return procedural_frost()


def _read_photographs(folder):
    return tuple(_read_photograph(folder / name) for name in FILES)


def _read_photograph(file):
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as image:
            pixels = np.asarray(image.convert("RGB"))
    # Pillow raises OSError, SyntaxError, ValueError and its own types on damaged files.
    except Exception as error:
        raise RunError(f"{file}: expected a frost photograph; found: {error}") from error
    return pixels[_CENTER::_STEP, _CENTER::_STEP]


@functools.cache
def procedural_frost():
    """Returns five textures made of numbers: bluish white ridges on clouds, always the same."""
    draws = ImageDraws(0, 0, 0, len(FILES))
    clouds = plasma(_PROCEDURAL_SIZE, 1.6, draws)
    # Where a second cloud passes its middle height lies a ridge, sharp as a crystal's edge.
    ridges = 1 - np.abs(2 * plasma(_PROCEDURAL_SIZE, 1.4, draws) - 1)
    # About as bright, and as uneven, as the photographs are on average.
    brightness = 0.4 + 0.27 * clouds + 0.33 * ridges**3
    tint = np.array([220.0, 235.0, 255.0])
    textures = (brightness[..., None] * tint).astype(np.uint8)
    return FrostTextures(PROCEDURAL, tuple(textures))
