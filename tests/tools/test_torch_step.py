"""The PyTorch step that benchmarks compare with does what ours does: terms and gradients."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the package torch is not installed")

from ascl_tf.config import Config  # noqa: E402
from ascl_tf.methods.factory import make_pretrain_method  # noqa: E402
from tools.benchmarks import _torch_network, _torch_step, _torch_views  # noqa: E402

SIZE, LABELS = 16, np.array([0, 1, 0, 2, 1, 1])
CONFIG = Config(width=2, projection_dim=4, num_steps_at=3, num_steps_cl=2, num_steps_ascl=2)
RNG = np.random.default_rng(0)
FRUGAL = _torch_step.Habits(caches_anchors=True, inputs_only=True)
WASTEFUL = _torch_step.Habits(caches_anchors=False, inputs_only=False, channels_last=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Many threads wait for one another longer than these small tensors take."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def method():
    """ASCL in float64: there no attack differs by the sign of a rounding error."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield _drawn_method()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def _drawn_method():
    method = make_pretrain_method(CONFIG, num_classes=3, image_shape=(SIZE, SIZE, 3))
    for layer in method.parts.values():
        for variable in layer.weights:
            name = variable.path.rpartition("/")[2]
            if name in ("gamma", "moving_variance"):
                variable.assign(RNG.uniform(0.5, 1.5, variable.shape))
            elif name != "kernel" or not np.any(variable.numpy()):
                variable.assign(RNG.normal(0.0, 0.3, variable.shape))
    return method


@pytest.fixture(scope="module")
def views():
    weak, *strong = RNG.uniform(size=(3, len(LABELS), SIZE, SIZE, 3))
    return {"images": weak, "stacked_views": np.concatenate(strong), "labels": LABELS}


@pytest.fixture(scope="module")
def ours(method, views):
    """Adversarial images, terms and gradients of our step, attacks from the images themselves."""
    import tensorflow as tf

    from ascl_tf.attacks import linf_pgd

    def perturb(objective, images, *, num_steps, constants, **_):
        sizes = {"epsilon": float(CONFIG.epsilon), "step_size": float(CONFIG.step_size)}
        return linf_pgd(objective, images, num_steps=num_steps, constants=constants, **sizes)

    method.perturb = perturb
    tensors = {name: tf.constant(value) for name, value in views.items()}
    tensors |= {name: None for name in ("seed_at", "seed_cl", "seed_ascl")}
    statistics = [v.numpy() for v in method.non_trainable_variables]
    adversarial = method.make_adversarial(tensors)
    variables = method.step_variables()
    _, means, gradients = method.differentiate(tensors, adversarial, [v.value for v in variables])
    # The pass has moved them, and the network of the other side starts from them.
    for variable, value in zip(method.non_trainable_variables, statistics, strict=True):
        variable.assign(value)
    named = {id(v): g.numpy() for v, g in zip(variables, gradients, strict=True)}
    return {name: x.numpy() for name, x in adversarial.items()}, means, named


def _torch_images(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize("habits", [FRUGAL, WASTEFUL], ids=["frugal", "wasteful"])
def test_adversarial_images_terms_and_gradients_equal_ours(method, views, ours, habits):
    network = _torch_network.network_from(method)
    step = _torch_step.TorchStep(network, CONFIG, habits, random_start=False)
    labels, strong = torch.from_numpy(LABELS), _torch_images(views["stacked_views"])
    adversarial = step.make_adversarial(_torch_images(views["images"]), strong, labels)
    terms = step.backward(strong, labels, *adversarial)

    want_images, want_terms, want_gradients = ours
    for found, want in zip(adversarial, want_images.values(), strict=True):
        np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), want, atol=1e-9)
    assert set(terms) == set(want_terms)
    for name, term in terms.items():
        assert float(term) == pytest.approx(float(want_terms[name]), rel=1e-3), name
    compared = 0
    for variable, parameter, axes in _torch_network.pairs(method, network):
        if id(variable) in want_gradients:
            want = _torch_network.in_torch_layout(want_gradients[id(variable)], axes)
            difference = np.abs(parameter.grad.numpy() - want).max()
            assert difference <= 1e-3 * np.abs(want).max(), variable.path
            compared += 1
    assert compared == len(want_gradients) == len(list(network.parameters()))


def test_every_habit_gives_the_same_adversarial_images(method, views):
    labels, strong = torch.from_numpy(LABELS), _torch_images(views["stacked_views"])
    found = []
    detached = _torch_step.Habits(caches_anchors=False, inputs_only=True, detaches_anchors=True)
    for habits in (FRUGAL, detached):
        step = _torch_step.TorchStep(
            _torch_network.network_from(method), CONFIG, habits, random_start=False
        )
        found.append(step.make_adversarial(_torch_images(views["images"]), strong, labels)[2])
    torch.testing.assert_close(*found)


def test_step_starts_inside_the_ball_and_moves_the_weights(method):
    network = _torch_network.network_from(method).float()
    before = network.stem_conv.weight.detach().clone()
    step = _torch_step.TorchStep(network, CONFIG.replace(num_steps_at=0), FRUGAL)
    images = torch.full((6, 3, SIZE, SIZE), 0.5)
    started, _, _ = step.make_adversarial(images, images.repeat(2, 1, 1, 1), torch.arange(6) % 3)
    distances = (started - images).abs()
    assert 0.9 * 8 / 255 < float(distances.max()) <= 8 / 255 + 1e-6
    pixels = torch.from_numpy(RNG.integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8))
    assert np.isfinite(step(pixels, torch.arange(6) % 3))
    assert not torch.equal(before, network.stem_conv.weight)


@pytest.mark.parametrize("view", [_torch_views.weak_view, _torch_views.strong_view])
def test_views_are_random_images_in_the_box(view):
    torch.manual_seed(0)
    images = torch.rand(16, 3, SIZE, SIZE)
    first, second = view(images), view(images)
    assert first.shape == images.shape and not torch.equal(first, second)
    assert 0 <= float(first.min()) and float(first.max()) <= 1


def test_hue_is_turned_as_ours():
    from ascl_tf.data import image_ops

    images = RNG.uniform(size=(5, 4, 4, 3)).astype(np.float32)
    turns = np.linspace(-0.1, 0.1, 5).astype(np.float32)
    found = _torch_views._turn_hue(
        _torch_images(images), torch.from_numpy(turns)[:, None, None, None]
    )
    want = image_ops.adjust_hue(images, turns)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), want, atol=1e-5)
