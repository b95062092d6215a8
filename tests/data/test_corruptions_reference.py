"""Corruptions against the output of the original functions for 32 CIFAR-10 images."""

import functools

import numpy as np
import pytest

from ascl_tf.data.corruptions import CORRUPTIONS, SEVERITIES, blur, corrupt, load_frost_textures
from ascl_tf.data.corruptions.severities import MOTION_BLUR
from ascl_tf.data.corruptions.weather import PROCEDURAL
from tests.common import SHARED
from tests.data.corruption_images import DETERMINISTIC, difference

REFERENCE = SHARED / "corruptions" / "reference_32.npz"
NUM_SEEDS = 10

pytestmark = pytest.mark.skipif(not REFERENCE.is_file(), reason="the reference output is not here")


@functools.cache
def _reference():
    with np.load(REFERENCE) as file:
        return dict(file)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", DETERMINISTIC)
def test_deterministic_corruption_is_the_original(corruption, severity):
    got = corrupt(_reference()["x"], corruption, severity, 0)
    off_by = difference(got, _reference()[f"{corruption}_s{severity}"])
    # To within 1 on average is asked for; only rounding before truncation is left.
    assert off_by.mean() < 0.06 and off_by.max() <= 1


def _statistics(corrupted):
    """Returns per image: mean |difference|, and mean and spread of each channel, [32, 7]."""
    moved = difference(corrupted, _reference()["x"]).mean(axis=(1, 2, 3))
    channels = corrupted.astype(np.float64).reshape(len(corrupted), -1, 3)
    return np.column_stack([moved, channels.mean(axis=1), channels.std(axis=1)])


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", [name for name in CORRUPTIONS if name not in DETERMINISTIC])
def test_random_corruption_has_the_statistics_of_the_original(corruption, severity):
    if corruption == "frost" and load_frost_textures().name == PROCEDURAL:
        pytest.skip(
            "the photographs of frost are not here (pip install --no-deps imagecorruptions)"
        )
    images = _reference()["x"]
    draws = [_statistics(corrupt(images, corruption, severity, seed)) for seed in range(NUM_SEEDS)]
    got = np.mean(draws, axis=(0, 1))
    reference = _statistics(_reference()[f"{corruption}_s{severity}"])
    want = reference.mean(axis=0)
    standard_error = reference.std(axis=0, ddof=1) / np.sqrt(len(reference))
    allowed = np.maximum(0.05 * want, 3 * standard_error)
    assert np.all(np.abs(got - want) <= allowed), np.round((got - want) / allowed, 2)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_for_every_motion_there_is_an_angle_that_gives_it_to_the_pixel(severity):
    angles = np.linspace(-45, 45, 181)
    for index in (0, 7):
        image = np.repeat(_reference()["x"][index : index + 1], len(angles), axis=0)
        blurred = blur.motion_blur_bytes(image, angles, *MOTION_BLUR[severity - 1])
        off_by = difference(blurred, _reference()[f"motion_blur_s{severity}"][index])
        assert off_by.mean(axis=(1, 2, 3)).min() < 0.02
