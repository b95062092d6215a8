"""Digital corruptions: contrast, saturation, elastic transform, pixels, JPEG."""

import io

import numpy as np
from PIL import Image

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.blur import smooth
from ascl_tf.data.corruptions.pixels import as_unit, with_saturation


def contrast(images, severity, draws):
    """Draws each channel of each image towards its mean."""
    values = as_unit(images)
    means = values.mean(axis=(1, 2), keepdims=True)
    return (values - means) * severities.CONTRAST[severity - 1] + means


def saturate(images, severity, draws):
    """Changes the saturation of HSV linearly."""
    factor, offset = severities.SATURATE[severity - 1]
    return with_saturation(as_unit(images), lambda s: np.clip(s * factor + offset, 0, 1))


def jpeg_compression(images, severity, draws):
    """Encodes and decodes each image, chroma at half the resolution."""
    quality = severities.JPEG_COMPRESSION[severity - 1]
    return np.stack([_through_jpeg(image, quality) for image in images])


def _through_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file, formats=("JPEG",)))


def pixelate(images, severity, draws):
    """Resizes each image down and up again, each by the mean over boxes."""
    height, width = images.shape[1:3]
    share = severities.PIXELATE[severity - 1]
    small = (int(width * share), int(height * share))

    def resize(image):
        shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        return np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))

    return np.stack([resize(image) for image in images])


def elastic_transform(images, severity, draws):
    """Warps by a random affine map, then by a smooth random displacement."""
    setting = severities.ELASTIC_TRANSFORM[severity - 1]
    height, width = images.shape[1:3]
    size = min(height, width)
    jitter = draws.uniform(-setting.jitter * size, setting.jitter * size, (3, 2))
    columns, rows = np.moveaxis(affine_sources((height, width), jitter), -1, 0)
    warped = sample_bilinear(as_unit(images, np.float32), rows, columns, border="mirror")
    if not setting.displacement:
        return warped
    sigma = setting.sigma * size
    fields = [draws.uniform(-1, 1, (height, width)) for _ in range(2)]
    columns, rows = (
        smooth(field, sigma, mode="reflect", truncate=3) * np.float32(setting.displacement * size)
        for field in fields
    )
    rows, columns = np.arange(height)[:, None] + rows, np.arange(width) + columns
    return sample_bilinear(warped, rows, columns, border="symmetric")


def affine_sources(shape, jitter):
    """Returns where each pixel comes from, float64 [N, *shape, 2] (column, row).

    The affine map moves three corners of a square around the center by `jitter`.

    Args:
        shape: height and width of the images.
        jitter: [N, 3, 2], columns and rows by which the corners move.
    """
    height, width = shape
    center, reach = np.array([width // 2, height // 2]), min(shape) // 3
    corners = center + reach * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    ones = np.ones((len(jitter), 3, 1))
    moved = np.concatenate([corners + jitter, ones], axis=2)
    # moved @ back = corners: the inverse map, since an output pixel asks for its source.
    back = np.linalg.solve(moved, np.broadcast_to(corners, (len(jitter), 3, 2)))
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1).reshape(-1, 3)
    return (places @ back).reshape(-1, height, width, 2)


def sample_bilinear(images, rows, columns, *, border):
    """Returns images [N, S, S, C] read at fractional places.

    Args:
        images: floating point [N, H, W, C].
        rows, columns: floating point [N, H, W], places in pixels.
        border: "mirror" (the edge pixel once) or "symmetric" (the edge pixel twice).
    """
    num_images, height, width, num_channels = images.shape
    pixels = images.reshape(-1, num_channels)
    starts = np.arange(num_images)[:, None, None] * height * width
    top, bottom, row_share = _neighbors(rows, height, border)
    left, right, column_share = _neighbors(columns, width, border)

    def read(row, column):
        return np.take(pixels, starts + row * width + column, axis=0)

    upper = _blend(read(top, left), read(top, right), column_share)
    lower = _blend(read(bottom, left), read(bottom, right), column_share)
    return _blend(upper, lower, row_share)


def _blend(first, second, share):
    return first + share[..., None] * (second - first)


def _neighbors(places, size, border):
    """Returns the indices on both sides of each place, inside the image, and the share between."""
    lower = np.floor(places)
    first = lower.astype(np.int64)
    return (
        _reflect(first, size, border),
        _reflect(first + 1, size, border),
        (places - lower).astype(np.float32),
    )


def _reflect(indices, size, border):
    if border == "mirror":
        period, last = 2 * size - 2, 2 * size - 2
    else:
        period, last = 2 * size, 2 * size - 1
    folded = np.mod(indices, period)
    return np.minimum(folded, last - folded)
