"""Frost, and where its textures come from."""

import sys

import numpy as np
import pytest
from PIL import Image

from ascl_tf.data.corruptions import FrostTextures, corrupt, load_frost_textures, weather
from ascl_tf.errors import RunError
from tests.data.corruption_images import IMAGES


def test_frost_is_a_weighted_sum_with_one_piece_of_one_texture():
    rng = np.random.default_rng(0)
    pair = tuple(rng.integers(0, 256, (50, 60, 3), dtype=np.uint8) for _ in range(2))
    textures = FrostTextures("folder", pair)
    corrupted = corrupt(IMAGES, "frost", 5, 0, frost_textures=textures)
    for image, got in zip(IMAGES, corrupted, strict=True):
        wanted = [
            np.clip(0.75 * image + 0.45 * texture[i : i + 32, j : j + 32], 0, 255).astype(np.uint8)
            for texture in textures.images
            for i in range(18)
            for j in range(28)
        ]
        assert sum(np.array_equal(got, want) for want in wanted) == 1


@pytest.mark.parametrize(("shape", "factor"), [((31, 90), 2), ((32, 90), 2), ((33, 90), 1)])
def test_textures_no_larger_than_the_images_are_enlarged(shape, factor):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    enlarged = Image.fromarray(pixels).resize(
        (factor * shape[1], factor * shape[0]), Image.Resampling.BICUBIC
    )
    small, large = (FrostTextures("folder", (np.asarray(p),)) for p in (pixels, enlarged))
    np.testing.assert_array_equal(
        corrupt(IMAGES, "frost", 1, 0, frost_textures=small),
        corrupt(IMAGES, "frost", 1, 0, frost_textures=large),
    )


def test_frost_of_large_and_oblong_images_is_a_piece_of_the_enlarged_texture():
    images = np.zeros((2, 40, 150, 3), np.uint8)
    textures = weather.procedural_frost()
    corrupted = corrupt(images, "frost", 1, 0, frost_textures=textures)
    larger = weather.larger_textures(textures, 150).images
    pieces = [_pieces((0.2 * texture[..., 0]).astype(np.uint8)) for texture in larger]
    for got in corrupted[..., 0]:
        # First by the topmost line: of few pieces is the rest compared.
        wanted = [piece[np.all(piece[:, :, 0] == got[0], axis=2)] for piece in pieces]
        assert any(np.array_equal(want, got) for some in wanted for want in some)


def _pieces(texture):
    return np.lib.stride_tricks.sliding_window_view(texture, (40, 150))


def _write_photographs(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (200, 263, 3), dtype=np.uint8)
    for name in weather.FILES:
        Image.fromarray(pixels).save(folder / name)
    return pixels


def test_photographs_of_a_folder_are_scaled_by_a_fifth(tmp_path):
    pixels = _write_photographs(tmp_path / "photos")
    textures = load_frost_textures(tmp_path / "photos")
    assert textures.name == "folder" and len(textures.images) == 5
    np.testing.assert_array_equal(textures.images[0], pixels[2::5, 2::5])
    # 263 / 5 = 52.6 is rounded.
    assert textures.images[4].shape == (40, 53, 3)


def test_missing_photograph_is_named(tmp_path):
    _write_photographs(tmp_path / "photos")
    (tmp_path / "photos" / "frost4.jpg").unlink()
    with pytest.raises(RunError, match=r"frost4\.jpg: expected a frost photograph; found"):
        load_frost_textures(tmp_path / "photos")


@pytest.fixture
def fresh_textures():
    weather._textures_at_hand.cache_clear()
    yield
    weather._textures_at_hand.cache_clear()


def test_installed_package_gives_its_photographs_without_being_executed(
    tmp_path, monkeypatch, fresh_textures
):
    package = tmp_path / "imagecorruptions"
    pixels = _write_photographs(package / "frost")
    (package / "__init__.py").write_text("raise RuntimeError('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "imagecorruptions", raising=False)
    textures = load_frost_textures()
    assert textures.name == "imagecorruptions" and "imagecorruptions" not in sys.modules
    np.testing.assert_array_equal(textures.images[1], pixels[2::5, 2::5])


def test_without_photographs_a_substitute_bears_its_name(monkeypatch, fresh_textures):
    monkeypatch.setattr(weather.importlib.util, "find_spec", lambda name: None)
    textures = load_frost_textures()
    assert textures.name == "frost_procedural" and len(textures.images) == 5
    for texture in textures.images:
        assert texture.dtype == np.uint8 and min(texture.shape[:2]) > 32
        assert 120 < texture.mean() < 210 and texture.std() > 15
