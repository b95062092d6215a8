"""One picture file as 8-bit RGB, whatever it is stored as. Decoding is Pillow's."""

import contextlib
import functools
import os
import stat

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ascl_tf.errors import RunError

# Formats whose first bytes tell what they are; the others go by the ending of the name.
_SIGNED = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
_FORMATS = (*_SIGNED, "DIB", "PPM", "QOI", "SGI", "PCX", "TGA")
# Pictures all the same: left out without a word they would be missing from the data set.
_UNREADABLE = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".svgz", ".eps", ".wmf", ".emf", ".exr", ".hdr"),
    *(".psd", ".xcf", ".ico", ".cur", ".icns", ".dds", ".xbm", ".xpm", ".npy", ".npz"),
    *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
_GRAY_MODES = ("1", "L", "LA", "La")
# What systems and tools leave beside pictures.
_LEFT_OUT = ("__macosx", "thumbs.db", "desktop.ini")


def is_of_use(name):
    """Returns whether a file or folder of this name may be a user's own, no system's or tool's."""
    return not name.startswith(".") and name.lower() not in _LEFT_OUT


def is_picture(file):
    """Returns whether a file is a picture: by the ending of its name, else by its content.

    Raises:
        RunError: if it is a picture of a kind that cannot be read here.
    """
    ending = os.path.splitext(file)[1].lower()
    if ending in _UNREADABLE:
        raise RunError(
            f"{file}: expected a picture that Pillow decodes, such as PNG, JPEG or WebP; "
            f"found the ending {ending}."
        )
    return ending in _endings() or _has_signature(file)


def read_picture(file):
    """Returns one picture as RGB, upright, and how it had to be converted.

    The first frame of an animation counts. Gray becomes equal red, green and blue;
    transparent pixels are laid over white; of 12 or 16 bits the upper eight are kept; the
    orientation that EXIF asks for is applied. A color profile is not.

    Args:
        file: path of the picture.

    Returns:
        Pair (NumPy uint8 [H, W, 3], tuple of words such as "gray"); empty for 8-bit RGB.

    Raises:
        RunError: naming the file, if it cannot be decoded, or if the range of its pixels is
            not known (32 bits, floating point).
    """
    with _opened(file) as image:
        kinds, bits = _kinds(image), _bits(image)
        rgb = _as_rgb(ImageOps.exif_transpose(image), image.format, bits)
    if rgb is None:
        raise RunError(f"{file}: expected pixels of 8 or 16 bits, found mode {image.mode}.")
    return np.asarray(rgb), kinds


def picture_size(file):
    """Returns (height, width) of a picture, upright, without decoding its pixels.

    Raises:
        RunError: naming the file, if it is no picture.
    """
    with _opened(file) as image:
        width, height = image.size
        # Pillow decodes a PNG to look for what may stand behind its pixels, where it rarely does.
        is_told = image.format != "PNG" or "exif" in image.info
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if is_told else 1
        if orientation not in range(5, 9):
            return height, width
        if image.format == "TIFF":
            # Pillow turns it by itself; some versions say so before, some behind its pixels.
            width, height = ImageOps.exif_transpose(image).size
            return height, width
    return width, height


@contextlib.contextmanager
def _opened(file):
    """Yields Pillow's image; whatever goes wrong with it names the file."""
    try:
        _check_regular(file)
        with Image.open(file, formats=_formats(_FORMATS)) as image:
            yield image
    # Pillow raises OSError, SyntaxError, ValueError and its own types on damaged files.
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{file}: expected a decodable image, found: {reason}") from error


@functools.cache
def _endings():
    endings = Image.registered_extensions()
    return frozenset(ending for ending, name in endings.items() if name in _FORMATS)


@functools.cache
def _formats(names):
    """Returns those of the formats that this Pillow has."""
    Image.init()
    return tuple(name for name in names if name in Image.OPEN)


def _has_signature(file):
    try:
        _check_regular(file)
        with Image.open(file, formats=_formats(_SIGNED)):
            return True
    except Exception:
        return False


def _check_regular(file):
    # A pipe would be waited for.
    if not stat.S_ISREG(os.stat(file).st_mode):
        raise OSError("no regular file")


def _kinds(image):
    """Returns what is converted of an image whose pixels are not loaded yet."""
    bits = _bits(image)
    # Loads the pixels of some formats, after which nothing tells of the depth.
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    found = {
        "gray": image.mode in _GRAY_MODES or image.mode.startswith("I"),
        "palette": image.mode in ("P", "PA"),
        image.mode: image.mode in ("CMYK", "YCbCr", "HSV", "LAB"),
        "with transparency": image.has_transparency_data,
        f"of {bits} bits": bits > 8,
        "turned as EXIF asks": orientation in range(2, 9),
        "of several frames": getattr(image, "is_animated", False),
    }
    return tuple(kind for kind, is_there in found.items() if is_there)


def _bits(image):
    """Returns how many bits a channel has, of an image whose pixels are not loaded yet."""
    # Pillow tells of these in the arguments of its decoder alone.
    raw_modes = [str(tile[3]) for tile in image.tile]
    if any("I;12" in mode for mode in raw_modes):
        return 12
    is_deep = image.mode[0] == "I" or any(";16" in m or "65535" in m for m in raw_modes)
    return 16 if is_deep else 8


def _as_rgb(image, image_format, bits):
    """Returns an image in mode RGB, or None where the range of its pixels is not known."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image_format in ("PNG", "PPM")):
        # Pillow's own conversion clips at 255 and forgets which value is transparent.
        pixels = np.asarray(image)
        is_clear = pixels == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(is_clear, 255, pixels >> (bits - 8)).astype(np.uint8))
    elif image.mode in ("I", "F"):
        return None
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
