"""Against the official attacks, where torch and pyautoattack are installed: a random CNN."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks.fab import closest_misclassified
from ascl_tf.attacks.hyperplane import step_onto_hyperplane
from ascl_tf.attacks.logit_losses import margin
from ascl_tf.attacks.square import SquareSearch
from ascl_tf.attacks.square_proposals import bump, share_of_pixels
from tests.attacks.runs import trace_apgd
from tests.common import random_images

torch = pytest.importorskip("torch", reason="the package torch is not installed")
pytest.importorskip("pyautoattack", reason="the package pyautoattack is not installed")

from pyautoattack import autopgd_base, fab_projections, fab_pt  # noqa: E402
from pyautoattack import square as official_square  # noqa: E402

EPSILON = {"linf": 8 / 255, "l2": 0.5}
OFFICIAL_NORM = {"linf": "Linf", "l2": "L2"}
NUM_CLASSES, SIZE = 6, 16


class Networks:
    """One random CNN in both libraries; records the logits of every official forward pass."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.kernel = rng.normal(size=(3, 3, 3, 16)).astype(np.float32) / 4
        self.dense = rng.normal(size=(16 * (SIZE - 2) ** 2, NUM_CLASSES)).astype(np.float32) / 16
        self.images = random_images(8, SIZE, seed)
        self.labels = np.argmax(self.tensorflow(self.images), axis=1).astype(np.int32)
        self.recorded = []

    def tensorflow(self, images):
        hidden = tf.nn.softplus(tf.nn.conv2d(images, self.kernel, 1, "VALID"))
        return tf.reshape(hidden, [tf.shape(images)[0], -1]) @ self.dense

    def official(self, images):
        kernel = torch.from_numpy(self.kernel.transpose(3, 2, 0, 1).copy())
        hidden = torch.nn.functional.softplus(torch.nn.functional.conv2d(images, kernel))
        flat = hidden.permute(0, 2, 3, 1).reshape(len(images), -1)
        logits = flat @ torch.from_numpy(self.dense)
        self.recorded.append(logits.detach().numpy())
        return logits


@pytest.fixture(scope="module")
def networks():
    return Networks()


def _to_torch(images):
    return torch.from_numpy(np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2))))


def _from_torch(images):
    return np.transpose(images.detach().numpy(), (0, 2, 3, 1))


def _start(images, norm):
    noise = np.random.default_rng(1).uniform(-1, 1, images.shape).astype(np.float32)
    if norm == "linf":
        noise /= np.abs(noise).max(axis=(1, 2, 3), keepdims=True)
    else:
        noise /= np.sqrt(np.sum(noise**2, axis=(1, 2, 3), keepdims=True))
    return np.clip(images + EPSILON[norm] * noise, 0, 1)


def _cross_entropy(logits, labels):
    return -tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1).numpy()


def _ratio(logits, labels):
    ordered = np.sort(logits, axis=1)[:, ::-1]
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    other = np.where(np.argmax(logits, axis=1) == labels, ordered[:, 1], ordered[:, 0])
    return -(own - other) / (ordered[:, 0] - ordered[:, 2])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_first_twenty_steps_of_apgd_agree_from_the_same_start(networks, loss, norm):
    start = _start(networks.images, norm)
    attack = autopgd_base.APGDAttack(
        networks.official,
        n_iter=100,
        norm=OFFICIAL_NORM[norm],
        n_restarts=1,
        eps=EPSILON[norm],
        seed=0,
        loss=loss,
        device="cpu",
    )
    images, labels = _to_torch(networks.images), torch.from_numpy(networks.labels).long()
    attack.init_hyperparam(images)
    networks.recorded.clear()
    attack.attack_single_run(images, labels, x_init=_to_torch(start))
    losses, _ = trace_apgd(
        networks.tensorflow,
        networks.images,
        networks.labels,
        start,
        epsilon=EPSILON[norm],
        loss=loss,
        norm=norm,
        num_steps=100,
    )
    value = _cross_entropy if loss == "ce" else _ratio
    # The start may have been evaluated more than once; the last twenty-one are not.
    want = np.stack([value(logits, networks.labels) for logits in networks.recorded[-101:]])
    np.testing.assert_allclose(losses[:21], want[:21], atol=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_onto_a_hyperplane_agrees(norm):
    rng = np.random.default_rng(2)
    points = rng.uniform(size=(16, 8, 8, 3)).astype(np.float32)
    normals = rng.normal(size=points.shape).astype(np.float32)
    offsets = np.sum(normals * points, axis=(1, 2, 3)) + rng.normal(scale=8.0, size=16)
    excess = np.sum(normals * points, axis=(1, 2, 3)) - offsets
    official = {"linf": fab_projections.projection_linf, "l2": fab_projections.projection_l2}[norm]
    flat = [torch.from_numpy(part.reshape(16, -1)) for part in (points, normals)]
    want = official(*flat, torch.from_numpy(offsets.astype(np.float32))).numpy()
    got = step_onto_hyperplane(
        tf.constant(points), tf.constant(normals), tf.constant(excess, tf.float32), norm=norm
    )
    np.testing.assert_allclose(tf.reshape(got, [16, -1]), want, atol=2e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_targeted_fab_finds_the_same_distances(networks, norm):
    attack = fab_pt.FABAttack_PT(
        networks.official,
        n_restarts=1,
        n_iter=20,
        eps=EPSILON[norm],
        norm=OFFICIAL_NORM[norm],
        device="cpu",
    )
    attack.targeted, attack.target_class = True, 2
    images, labels = _to_torch(networks.images), torch.from_numpy(networks.labels).long()
    want = _from_torch(attack.attack_single_run(images, labels, is_targeted=True))
    second = np.argsort(networks.tensorflow(networks.images), axis=1)[:, -2]
    got, distances = closest_misclassified(
        networks.tensorflow,
        tf.constant(networks.images),
        tf.constant(networks.labels),
        targets=tf.constant(second, tf.int32),
        num_classes=NUM_CLASSES,
        norm=norm,
        num_steps=20,
        start=tf.constant(networks.images),
    )
    order = np.inf if norm == "linf" else 2
    length = np.linalg.norm((want - networks.images).reshape(8, -1), order, axis=1)
    np.testing.assert_allclose(np.ravel(distances), length, rtol=1e-2)


def test_square_has_the_same_schedule_and_the_same_bumps():
    attack = official_square.SquareAttack(
        lambda images: images, norm="L2", p_init=0.8, n_queries=5000, resc_schedule=False
    )
    for query in (0, 10, 11, 50, 51, 200, 201, 500, 501, 1000, 1001, 2000, 2001, 4000, 4001, 4999):
        assert share_of_pixels(query) == pytest.approx(attack.p_selection(query))
    for size in (3, 5, 7, 11, 15, 21, 29, 6):
        want = attack.eta(size).numpy()
        # Turned or not is drawn.
        assert min(np.abs(bump(size) - w).max() for w in (want, want.T)) < 1e-5


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_lowers_the_margin_as_much_on_average(networks, norm):
    attack = official_square.SquareAttack(
        networks.official,
        norm=OFFICIAL_NORM[norm],
        n_queries=150,
        eps=EPSILON[norm] / 4,
        resc_schedule=False,
        device="cpu",
    )
    repeated = np.repeat(networks.images, 4, axis=0)
    labels = np.repeat(networks.labels, 4)
    images = _to_torch(repeated)
    attack.init_hyperparam(images)
    torch.manual_seed(0)
    _, found = attack.attack_single_run(images, torch.from_numpy(labels).long())
    search = SquareSearch(
        networks.tensorflow, repeated.shape, epsilon=EPSILON[norm] / 4, norm=norm, num_queries=150
    )
    seeds = tf.stack([tf.zeros([32], tf.int32), tf.range(32)], axis=1)
    state = search.advance(search.start(tf.constant(repeated), tf.constant(labels), seeds), 0, 150)
    clean, official, ours = (
        margin(networks.tensorflow(points), labels).numpy()
        for points in (repeated, _from_torch(found), state.best_images)
    )
    # The official runs share their draws, so that their mean is uncertain by some percent.
    assert np.mean(clean - ours) == pytest.approx(np.mean(clean - official), rel=0.15)
