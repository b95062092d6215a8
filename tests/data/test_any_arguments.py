"""Whatever images, seeds and settings views and corruptions get: images, or a ValueError."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ascl_tf.data import corrupt, strong_view, weak_view

CHECK = settings(max_examples=50, derandomize=True, deadline=None, database=None)
_SHAPE = st.lists(st.sampled_from([1, 2, 3, 8]), max_size=5) | st.sampled_from(
    [[2, 8, 8, 3], [1, 9, 9, 3], [2, 8, 9, 3]]
)
_DTYPE = st.sampled_from([np.uint8, np.int32, np.float32, np.float64])
_SEED = st.sampled_from([[1, 2], [1], [[1, 2]], [[1, 2], [3, 4]], 3, [1.0, 2.0]])
_NUMBER = st.sampled_from([0.2, 1.0, 0.0, -1.0, 2.0, float("nan"), float("inf")])


def _images(shape, dtype):
    return (np.random.default_rng(0).uniform(size=shape) * 255).astype(np.uint8).astype(dtype)


@CHECK
@given(shape=_SHAPE, dtype=_DTYPE, seed=_SEED, min_area=_NUMBER, strength=_NUMBER)
def test_views(shape, dtype, seed, min_area, strength):
    images = _images(shape, dtype) / np.array(255, dtype if dtype == np.float64 else np.float32)
    images = images.astype(dtype)
    for view in (
        lambda: weak_view(images, seed),
        lambda: strong_view(images, seed, min_area=min_area, strength=strength),
    ):
        try:
            seen = np.asarray(view())
        except ValueError as error:
            names = ("images", "seed", "min_area", "strength")
            assert str(error).split("`")[1] in names, error
        else:
            assert seen.shape == images.shape and 0 <= seen.min() <= seen.max() <= 1


@CHECK
@given(
    shape=_SHAPE,
    dtype=_DTYPE,
    corruption=st.sampled_from(["contrast", "gaussian_noise", "jpeg_compression", "contrsat", ""]),
    severity=st.integers(-1, 7) | st.sampled_from([1.0, 2.5, None, True]),
    seed=st.integers(-1, 3) | st.sampled_from([2**64, 2**64 - 1, 1.5]),
)
def test_corruptions(shape, dtype, corruption, severity, seed):
    images = _images(shape, dtype)
    try:
        corrupted = corrupt(images, corruption, severity, seed)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "corruption", "severity", "seed"), error
    else:
        assert corrupted.shape == images.shape and corrupted.dtype == np.uint8
