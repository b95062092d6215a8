"""ResNet: shapes, parameters, padding as in PyTorch, branches, policies."""

import numpy as np
import pytest

from ascl_tf.models import (
    BRANCHES,
    PreActResNet,
    ResNet,
    WideResNet,
    preactivation,
    resnet,
    resnet18,
)
from ascl_tf.models.convolutions import PaddedConv2D, make_conv, stem_shape
from ascl_tf.models.preactivation import PreActivationBlock
from ascl_tf.models.resnet import BasicBlock
from tests.common import random_images
from tests.models.oracles import convolve, count_parameters, normalize, policy, randomize


def _parameters(layer):
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)


def _block_of(encoder, stage, index):
    return next(b for b in encoder.blocks if b.name == f"stage{stage}_block{index}")


@pytest.fixture(scope="module")
def encoder():
    encoder = resnet18(width=2)
    encoder.build((None, 16, 16, 3))
    randomize(encoder)
    return encoder


def test_resnet18_of_width_64_has_the_published_number_of_parameters():
    # 11,173,962 of the CIFAR ResNet-18 for ten classes, less 5,130 of its last layer.
    encoder = resnet18(batch_norm="shared")
    encoder.build((None, 32, 32, 3))
    assert _parameters(encoder) == 11_168_832 == count_parameters(18, 64)
    assert encoder.feature_dim == 512


def test_resnet34_has_the_published_number_of_parameters():
    encoder = ResNet(depth=34, width=4, batch_norm="shared")
    encoder.build((None, 32, 32, 3))
    assert _parameters(encoder) == count_parameters(34, 4)
    # 21,282,122 for ten classes, less 5,130.
    assert count_parameters(34, 64) == 21_276_992


def test_separate_batch_norm_adds_one_set_of_affine_parameters(encoder):
    shared = resnet18(width=2, batch_norm="shared")
    shared.build((None, 16, 16, 3))
    channels = [2] * 5 + [4] * 5 + [8] * 5 + [16] * 5  # Stem, blocks and shortcuts.
    assert _parameters(encoder) - _parameters(shared) == 2 * sum(channels)


@pytest.mark.parametrize("size", [8, 13, 16])
def test_images_of_any_size_give_float32_features(encoder, size):
    features = encoder(random_images(2, size))
    assert features.shape == (2, 16) and features.dtype == "float32"
    assert np.all(np.isfinite(features))


def test_stages_halve_the_image_as_they_double_the_channels(encoder):
    shape, shapes = (2, 16, 16, 2), []
    x = np.zeros(shape, np.float32)
    for block in encoder.blocks:
        x, shape = block(x), block.compute_output_shape(shape)
        assert tuple(x.shape) == shape
        shapes.append(shape[1:])
    want = [(16, 16, 2), (8, 8, 4), (4, 4, 8), (2, 2, 16)]
    assert shapes == [shape for shape in want for _ in range(2)]


def test_depth_34_has_three_four_six_and_three_blocks():
    names = [block.name for block in ResNet(depth=34, width=1).blocks]
    counts = [sum(name.startswith(f"stage{stage}_") for name in names) for stage in (1, 2, 3, 4)]
    assert counts == [3, 4, 6, 3] and len(names) == 16


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_convolution_of_stride_two_pads_one_on_both_sides(size):
    conv = PaddedConv2D(4, 3, 2, "valid", use_bias=False, dtype="float64")
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    outputs = conv(images)
    np.testing.assert_allclose(
        outputs, convolve(images, conv.kernel.numpy(), stride=2, pad=1), atol=1e-12
    )
    assert conv.compute_output_shape(images.shape) == tuple(outputs.shape)


@pytest.mark.parametrize("strides, channels", [(1, 3), (1, 2), (2, 2)])
def test_basic_block_equals_its_formula(strides, channels):
    block = BasicBlock(3, strides, dtype="float64")
    inputs = np.random.default_rng(0).normal(size=(2, 6, 6, channels))
    block.build(inputs.shape)
    randomize(block)

    def apply(conv, bn, x, stride, pad):
        part = bn.branch_layer("clean")
        statistics = [part.moving_mean, part.moving_variance, part.gamma, part.beta]
        convolved = convolve(x, conv.kernel.numpy(), stride, pad)
        return normalize(convolved, *[v.numpy() for v in statistics])

    x = np.maximum(apply(block.conv1, block.bn1, inputs, strides, 1), 0)
    x = apply(block.conv2, block.bn2, x, 1, 1)
    shortcut = inputs
    if channels != 3:
        shortcut = apply(block.shortcut_conv, block.shortcut_bn, inputs, strides, 0)
    want = np.maximum(x + shortcut, 0)
    np.testing.assert_allclose(block(inputs, training=False, branch="clean"), want, atol=1e-12)


def test_shortcut_is_the_identity_where_the_shape_stays(encoder):
    assert _block_of(encoder, 1, 1).shortcut_conv is None
    assert _block_of(encoder, 2, 2).shortcut_conv is None
    assert _block_of(encoder, 2, 1).shortcut_conv is not None


def test_branch_reaches_every_batch_norm(encoder):
    before = {variable.path: variable.numpy() for variable in encoder.variables}
    encoder(random_images(4, 16), training=True, branch="clean")
    moved = {v.path for v in encoder.variables if np.any(v.numpy() != before[v.path])}
    statistics = {p for p in before if "/moving_" in p}
    assert moved == {path for path in statistics if "/clean/" in path}
    assert len(moved) == 2 * 20


def test_branches_give_different_features(encoder):
    clean, adversarial = [encoder(random_images(), branch=branch) for branch in BRANCHES]
    assert np.abs(clean - adversarial).max() > 1e-3
    np.testing.assert_array_equal(encoder(random_images()), adversarial)


def test_kernels_start_he_normal_and_unlike_each_other():
    encoder = resnet18(width=16)
    encoder.build((None, 32, 32, 3))
    first, second = encoder.blocks[-1].conv1.kernel.numpy(), encoder.blocks[-1].conv2.kernel.numpy()
    fan_in = 9 * 128
    for kernel in (first, second):
        assert abs(kernel.mean()) < 0.01 / np.sqrt(fan_in)
        # 147,456 numbers: the standard deviation is known to 0.2 %.
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / fan_in), rtol=0.01)
    assert np.any(first != second)


@pytest.mark.parametrize(
    "name, dtype",
    [("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16"), ("float64", "float64")],
)
def test_policy_holds_for_every_layer(name, dtype):
    with policy(name):
        encoder = resnet18(width=1)
    features = encoder(random_images(2))
    assert features.dtype == dtype
    assert {v.dtype for v in encoder.variables} == {"float64" if name == "float64" else "float32"}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"depth": 20}, r"`depth` must be one of \[18, 34, 50\]; received 20\."),
        ({"stem": "small"}, r"`stem` must be one of cifar, imagenet; received 'small'"),
        ({"width": 0}, r"`width` must be >= 1; received 0\."),
        ({"batch_norm": "none"}, r"`batch_norm` must be 'separate', 'shared' or 'triple'"),
    ],
)
def test_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**settings)


@pytest.mark.parametrize("stem, side", [("cifar", 16), ("imagenet", 4)])
@pytest.mark.parametrize(
    "make",
    [ResNet, PreActResNet, WideResNet, lambda **settings: ResNet(depth=50, **settings)],
    ids=["resnet", "preact", "wide", "resnet50"],
)
def test_every_network_knows_its_shapes(make, stem, side, monkeypatch):
    for depth in (18, 50):  # One block that keeps the shape, and one that changes it.
        monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, depth, (1, 0, 0, 1))
    monkeypatch.setitem(preactivation.BLOCKS_PER_STAGE, 18, (1, 0, 0, 1))
    encoder = make(width=1, stem=stem, **({"depth": 10} if make is WideResNet else {}))
    encoder.build((None, 16, 16, 3))
    assert encoder(random_images(2, 16)).shape == encoder.compute_output_shape((2, 16, 16, 3))
    assert stem_shape(stem, (None, 16, 16, 3), 5) == (None, side, side, 5)
    again = type(encoder).from_config(encoder.get_config())
    again.build((None, 16, 16, 3))
    again.set_weights(encoder.get_weights())
    for branch in BRANCHES:
        images = random_images(2, 16)
        np.testing.assert_array_equal(again(images, branch=branch), encoder(images, branch=branch))


@pytest.mark.slow  # Draws a hundred million weights.
def test_published_numbers_of_parameters():
    counts = {}
    for name, encoder in {
        "resnet50": ResNet(depth=50, batch_norm="shared"),
        "preact18": PreActResNet(batch_norm="shared", final_batch_norm=False),
        "wide_28_10": WideResNet(batch_norm="shared"),
        "wide_34_10": WideResNet(depth=34, batch_norm="shared"),
    }.items():
        encoder.build((None, 32, 32, 3))
        counts[name] = _parameters(encoder) + (encoder.feature_dim + 1) * 10
    assert counts == {
        "resnet50": 23_520_842,
        "preact18": 11_171_146,
        "wide_28_10": 36_479_194,
        "wide_34_10": 46_160_474,
    }


@pytest.mark.parametrize("name", ["normal_by_outputs", "uniform_by_inputs"])
def test_kernels_start_as_in_pytorch_and_unlike_each_other(name):
    convs = [make_conv(64, 3, 1, name="c", dtype="float32", initializer=name) for _ in range(2)]
    for conv in convs:
        conv.build((None, 8, 8, 128))
    first, second = (conv.kernel.numpy() for conv in convs)
    # 73,728 numbers: the standard deviation is known to 0.3 %.
    want = np.sqrt(2 / (9 * 64)) if name == "normal_by_outputs" else np.sqrt(1 / (3 * 9 * 128))
    np.testing.assert_allclose(first.std(), want, rtol=0.02)
    assert np.any(first != second)
    is_bounded = np.abs(first).max() <= 1 / np.sqrt(9 * 128) + 1e-6
    assert is_bounded == (name == "uniform_by_inputs")


@pytest.mark.parametrize(
    "make",
    [PreActResNet, WideResNet, lambda **s: ResNet(depth=50, **s)],
    ids=["pre_activation", "wide", "bottleneck"],
)
def test_training_passes_move_the_named_branch_alone(make):
    encoder = make(width=1, **({"depth": 10, "factor": 1} if make is WideResNet else {}))
    encoder.build((None, 8, 8, 3))
    before = {variable.path: variable.numpy() for variable in encoder.variables}
    encoder(random_images(4, 8), training=True, branch="clean")
    moved = {v.path for v in encoder.variables if np.any(v.numpy() != before[v.path])}
    assert moved == {path for path in before if "/clean/moving_" in path}


def test_folded_inference_of_a_pre_activation_network_equals_its_formula():
    block = PreActivationBlock(3, 2, dtype="float64")
    inputs = np.random.default_rng(0).normal(size=(2, 6, 6, 2))
    block.build(inputs.shape)
    randomize(block)

    def active(bn, x):
        part = bn.branch_layer("clean")
        statistics = [part.moving_mean, part.moving_variance, part.gamma, part.beta]
        return np.maximum(normalize(x, *[v.numpy() for v in statistics]), 0)

    first = active(block.bn1, inputs)
    x = active(block.bn2, convolve(first, block.conv1.kernel.numpy(), 2, 1))
    want = convolve(x, block.conv2.kernel.numpy(), 1, 1)
    want += convolve(first, block.shortcut_conv.kernel.numpy(), 2, 0)
    np.testing.assert_allclose(block(inputs, training=False, branch="clean"), want, atol=1e-12)
