"""Each kind of picture against Pillow's own reading, or against the pixels written."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ascl_tf.data.pictures import is_picture, picture_size, read_picture
from ascl_tf.errors import RunError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)


def _save(path):
    if path.suffix.lower() not in Image.registered_extensions():
        pytest.skip(f"this Pillow has no {path.suffix}")
    PICTURE.save(path)


def _png16(path, pixels, transparent=b""):
    """Writes uint16 [H, W, 1 to 4] as a PNG of 16 bits, which Pillow cannot write in color."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    height, width, channels = pixels.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = chunk(b"IHDR", header) + (chunk(b"tRNS", transparent) if transparent else b"")
    chunks += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize(
    "ending",
    "png PNG apng jpg JPG jpeg jpe jfif webp gif bmp dib tif TIFF avif jp2 j2k tga ppm qoi sgi pcx"
    "".split(" "),
)
def test_formats_are_read_as_pillow_reads_them(tmp_path, ending):
    file = tmp_path / f"a.{ending}"
    _save(file)
    images, kinds = read_picture(file)
    assert is_picture(file)
    assert images.dtype == np.uint8 and kinds == (("palette",) if ending == "gif" else ())
    with Image.open(file) as image:
        np.testing.assert_array_equal(images, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    "mode, ending, kinds",
    [
        ("1", "png", ("gray",)),
        ("L", "png", ("gray",)),
        ("L", "jpg", ("gray",)),
        ("P", "png", ("palette",)),
        ("P", "bmp", ("palette",)),
        ("CMYK", "jpg", ("CMYK",)),
        ("CMYK", "tif", ("CMYK",)),
        ("YCbCr", "tif", ("YCbCr",)),
    ],
)
def test_opaque_modes_become_rgb_as_pillow_converts_them(tmp_path, mode, ending, kinds):
    file = tmp_path / f"a.{ending}"
    PICTURE.convert(mode).save(file)
    images, found = read_picture(file)
    assert found == kinds
    with Image.open(file) as image:
        np.testing.assert_array_equal(images, np.asarray(image.convert("RGB")))


def test_transparent_pixels_are_laid_over_white(tmp_path):
    alpha = np.zeros([9, 8, 1], np.uint8)
    alpha[:3], alpha[3:6] = 255, 128
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(tmp_path / "a.png")
    images, kinds = read_picture(tmp_path / "a.png")
    assert kinds == ("with transparency",)
    share = alpha / 255
    want = PIXELS * share + 255 * (1 - share)
    np.testing.assert_allclose(images, want, atol=1)
    np.testing.assert_array_equal(images[:3], PIXELS[:3])
    assert np.all(images[6:] == 255)


@pytest.mark.parametrize(
    "mode, ending, kinds",
    [
        ("LA", "png", ("gray", "with transparency")),
        ("RGBA", "webp", ("with transparency",)),
        ("RGBA", "tif", ("with transparency",)),
        ("RGBA", "tga", ("with transparency",)),
    ],
)
def test_alpha_of_other_kinds_is_laid_over_white(tmp_path, mode, ending, kinds):
    alpha = Image.fromarray(np.tile(np.uint8([0, 128, 255, 255]), (9, 2)))
    image = PICTURE.convert(mode)
    image.putalpha(alpha)
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    image.save(tmp_path / f"a.{ending}", **options)
    pixels, found = read_picture(tmp_path / f"a.{ending}")
    assert found == kinds
    white = Image.new("RGBA", image.size, "white")
    white.paste(image.convert("RGBA"), mask=alpha)
    want = np.asarray(white.convert("RGB")).astype(int)
    np.testing.assert_allclose(pixels, want, atol=1)


def test_palette_whose_colors_are_partly_transparent_is_laid_over_white(tmp_path):
    image = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    pixels, found = read_picture(tmp_path / "a.png")
    assert found == ("palette", "with transparency")
    colors = np.asarray(image.convert("RGB")).astype(float)
    share = np.array([0, 128, 255, 255])[np.asarray(image)][..., None] / 255
    np.testing.assert_allclose(pixels, colors * share + 255 * (1 - share), atol=1)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_of_16_bits_is_laid_over_white(tmp_path, channels):
    pixels = np.full([9, 8, channels], 0x4000, np.uint16)
    pixels[:4, :, -1], pixels[4:, :, -1] = 0, 0xFFFF
    _png16(tmp_path / "a.png", pixels)
    images, kinds = read_picture(tmp_path / "a.png")
    assert {"with transparency", "of 16 bits"} <= set(kinds)
    assert np.all(images[:4] == 255) and np.all(images[4:] == 0x40)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_transparent_color_is_white(tmp_path, mode):
    image = PICTURE.convert(mode)
    image.save(tmp_path / "a.png", transparency=image.getpixel((2, 1)))
    images, kinds = read_picture(tmp_path / "a.png")
    assert "with transparency" in kinds
    assert images[1, 2].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(images[0, 0], np.asarray(image.convert("RGB"))[0, 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_the_upper_eight_are_kept(tmp_path, channels):
    pixels = np.random.default_rng(1).integers(0, 2**16, (9, 8, channels), np.uint16)
    _png16(tmp_path / "a.png", pixels)
    images, kinds = read_picture(tmp_path / "a.png")
    assert kinds == (("gray", "of 16 bits") if channels == 1 else ("of 16 bits",))
    np.testing.assert_array_equal(images, np.broadcast_to(pixels >> 8, images.shape))


def test_of_12_bits_the_upper_eight_are_kept(tmp_path):
    # Pillow reads such a TIFF, of microscopes and cameras, and cannot write it.
    pairs = np.random.default_rng(0).integers(0, 4096, (32, 2))
    digits = "".join(f"{first:03x}{second:03x}" for first, second in pairs)
    content, (width, height) = bytes.fromhex(digits), (8, 8)
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 110, 278: height}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries.append(struct.pack("<HHII", 279, 4, 1, len(content)))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    (tmp_path / "a.tif").write_bytes(head + content)
    image, kinds = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(image[..., 0], (pairs >> 4).reshape(height, width))
    assert kinds == ("gray", "of 12 bits")


def test_transparent_value_of_16_bit_gray_is_white(tmp_path):
    pixels = np.arange(0, 65536, 1024).reshape(8, 8, 1)
    _png16(tmp_path / "a.png", pixels, transparent=struct.pack(">H", 2048))
    images, kinds = read_picture(tmp_path / "a.png")
    assert kinds == ("gray", "with transparency", "of 16 bits")
    want = np.where(pixels == 2048, 255, pixels >> 8)
    np.testing.assert_array_equal(images, np.broadcast_to(want, images.shape))


@pytest.mark.parametrize("magic, channels", [(b"P5", 1), (b"P6", 3)])
def test_16_bits_of_netpbm(tmp_path, magic, channels):
    pixels = np.random.default_rng(1).integers(0, 2**16, (9, 8, channels), np.uint16)
    (tmp_path / "a.pnm").write_bytes(magic + b" 8 9 65535\n" + pixels.astype(">u2").tobytes())
    images, kinds = read_picture(tmp_path / "a.pnm")
    assert "of 16 bits" in kinds
    np.testing.assert_allclose(images, np.broadcast_to(pixels / 257, images.shape), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(tmp_path / "a.png", exif=exif)
    images, kinds = read_picture(tmp_path / "a.png")
    turned = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.swapaxes(0, 1),
        6: PIXELS[::-1].swapaxes(0, 1),
        7: PIXELS[::-1, ::-1].swapaxes(0, 1),
        8: PIXELS[:, ::-1].swapaxes(0, 1),
    }[orientation]
    np.testing.assert_array_equal(images, turned)
    assert kinds == (("turned as EXIF asks",) if orientation > 1 else ())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_size_is_that_of_the_upright_picture(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    PICTURE.save(tmp_path / f"a.{ending}", exif=exif)
    shape = read_picture(tmp_path / f"a.{ending}")[0].shape
    assert picture_size(tmp_path / f"a.{ending}") == shape[:2]
    assert shape[:2] == ((9, 8) if orientation < 5 else (8, 9))


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(tmp_path, ending):
    frames = [Image.new("RGB", (8, 9), color) for color in ("red", "blue")]
    lossless = {"lossless": True} if ending == "webp" else {}
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **lossless)
    images, kinds = read_picture(tmp_path / f"a.{ending}")
    assert "of several frames" in kinds and images[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(tmp_path, mode):
    PICTURE.convert(mode).save(tmp_path / "a.tif")
    with pytest.raises(
        RunError, match=rf"a\.tif: expected pixels of 8 or 16 bits, found mode {mode}"
    ):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("ending", "png jpg webp gif tif avif jp2 bmp tga qoi".split())
def test_half_a_file_is_named(tmp_path, ending):
    file = tmp_path / f"a.{ending}"
    _save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RunError, match=rf"a\.{ending}: expected a decodable image, found: \w"):
        read_picture(file)


def test_what_is_no_regular_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(RunError, match=r"a\.png: expected a decodable image, found: no regular"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(RunError, match=r"b\.png: expected a decodable image, found: No such file"):
        read_picture(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a", "a.png_old", "frame.0001"])
def test_picture_is_known_by_its_content_where_the_name_does_not_tell(tmp_path, name):
    PICTURE.save(tmp_path / name, "PNG")
    assert is_picture(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json", "README", "a.h5"])
def test_other_files_are_no_pictures(tmp_path, name):
    (tmp_path / name).write_text("BM, P5 8 8 255: a text\n" * 20)
    assert not is_picture(tmp_path / name)


@pytest.mark.parametrize("ending", "heic HEIF jxl svg npy psd dng".split())
def test_pictures_that_pillow_cannot_read_are_named(tmp_path, ending):
    with pytest.raises(
        RunError, match=rf"a\.{ending}: expected a picture that Pillow decodes.*found"
    ):
        is_picture(tmp_path / f"a.{ending}")
