"""Frost to lay over images: photographs where there are some, else a substitute.

The photographs of the benchmark come with no license file by file and are not part of this
package. They are read from a folder, or from an installed distribution `imagecorruptions`,
whose code is never executed.
"""

import functools
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from ascl_tf.data.corruptions.draws import ImageDraws
from ascl_tf.data.corruptions.weather import plasma
from ascl_tf.errors import RunError

PEER = "imagecorruptions"
PROCEDURAL = "frost_procedural"
# A sixth photograph exists; the published code never draws it.
FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
# The published code scales by 1/5 without a filter: pixel 2 of every five.
_CENTRE, _STEP = 2, 5
_PROCEDURAL_SIZE = 128


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
    return pixels[_CENTRE::_STEP, _CENTRE::_STEP]


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
