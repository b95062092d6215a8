"""Cross-entropy, KL, TRADES and MART against float64 loops and closed forms."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import cross_entropy_loss, kl_divergence, mart_loss, trades_loss

LABELS = np.array([0, 2, 1, 3, 2, 0])
PARTLY_LABELED = np.array([0, -1, 1, 3, -1, 0])
BETA = 5.0


def _logits(seed, num_images=6, num_classes=4):
    return np.random.default_rng(seed).normal(scale=2.0, size=(num_images, num_classes))


CLEAN = _logits(1)
ADVERSARIAL = _logits(2)
LOSSES = {
    "cross_entropy": lambda clean, adversarial: cross_entropy_loss(adversarial, PARTLY_LABELED),
    "kl": kl_divergence,
    "trades": lambda *logits: trades_loss(*logits, PARTLY_LABELED, beta=BETA),
    "mart": lambda *logits: mart_loss(*logits, PARTLY_LABELED, beta=BETA),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def _softmax(row):
    exponentials = [math.exp(value) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def _kl_oracle(clean_row, adversarial_row, guard=0.0):
    pairs = zip(_softmax(clean_row), _softmax(adversarial_row), strict=True)
    return sum(p * (math.log(p) - math.log(q + guard)) for p, q in pairs)


def _trades_oracle(clean, adversarial, labels, beta):
    losses = []
    for c, a, y in zip(clean, adversarial, labels, strict=True):
        losses.append(0.0 if y == -1 else -math.log(_softmax(c)[y]) + beta * _kl_oracle(c, a))
    return losses


def _mart_oracle(clean, adversarial, labels, beta):
    losses = []
    for c, a, y in zip(clean, adversarial, labels, strict=True):
        if y == -1:
            losses.append(0.0)
            continue
        p, q = _softmax(c), _softmax(a)
        ranking = sorted(range(len(q)), key=lambda k: q[k])
        runner_up = ranking[-2] if ranking[-1] == y else ranking[-1]
        boosted = -math.log(q[y]) - math.log(1.0001 - q[runner_up] + 1e-12)
        losses.append(boosted + beta * _kl_oracle(c, a, 1e-12) * (1.0000001 - p[y]))
    return losses


def test_cross_entropy_matches_loop_oracle():
    want = [-math.log(_softmax(row)[y]) for row, y in zip(CLEAN, LABELS, strict=True)]
    np.testing.assert_allclose(cross_entropy_loss(CLEAN, LABELS), want, rtol=1e-12)


def test_kl_matches_loop_oracle():
    want = [_kl_oracle(c, a) for c, a in zip(CLEAN, ADVERSARIAL, strict=True)]
    np.testing.assert_allclose(kl_divergence(CLEAN, ADVERSARIAL), want, rtol=1e-12)


@pytest.mark.parametrize("labels", [LABELS, PARTLY_LABELED])
@pytest.mark.parametrize("beta", [0.0, 6.0])
def test_trades_matches_loop_oracle(labels, beta):
    got = trades_loss(CLEAN, ADVERSARIAL, labels, beta=beta)
    want = _trades_oracle(CLEAN, ADVERSARIAL, labels, beta)
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("labels", [LABELS, PARTLY_LABELED])
@pytest.mark.parametrize("beta", [0.0, 5.0])
def test_mart_matches_loop_oracle(labels, beta):
    got = mart_loss(CLEAN, ADVERSARIAL, labels, beta=beta)
    want = _mart_oracle(CLEAN, ADVERSARIAL, labels, beta)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_mart_uses_the_largest_wrong_class_right_or_wrong():
    # Row 0 is classified rightly, so the runner-up is second; row 1 wrongly, so it is first.
    logits = np.log([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    got = mart_loss(logits, logits, [0, 0], beta=0.0)
    want = [-np.log(0.6) - np.log(0.7001), -np.log(0.3) - np.log(0.4001)]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_golden_uniform_logits():
    logits = np.zeros([2, 10])
    np.testing.assert_allclose(cross_entropy_loss(logits, [3, 9]), [np.log(10.0)] * 2, rtol=1e-14)
    np.testing.assert_array_equal(kl_divergence(logits, logits), [0.0, 0.0])
    trades = trades_loss(logits, logits, [3, 9], beta=6.0)
    np.testing.assert_allclose(trades, [np.log(10.0)] * 2, rtol=1e-14)


def test_golden_kl_of_two_classes():
    # p = (3/4, 1/4), q = (1/2, 1/2).
    got = kl_divergence(np.log([[3.0, 1.0]]), np.zeros([1, 2]))
    np.testing.assert_allclose(got, [0.75 * np.log(1.5) + 0.25 * np.log(0.5)], rtol=1e-14)


def test_published_guards_bound_mart_when_the_attack_is_certain():
    # q is one-hot on a wrong class and p on the label: the margin stops at -log(1e-4), and the
    # KL at -log(1e-12), weighted by a clean error of 1e-7.
    clean, adversarial = np.array([[800.0, 0.0]]), np.array([[0.0, 800.0]])
    got = mart_loss(clean, adversarial, [0], beta=5.0)
    want = 800.0 - np.log(1e-4 + 1e-12) + 5.0 * -np.log(1e-12) * 1e-7
    np.testing.assert_allclose(got, [want], rtol=1e-9)


@every_loss
def test_gradient_flows_through_all_logits_and_matches_finite_differences(loss):
    weights = np.random.default_rng(3).normal(size=len(LABELS))
    logits = [tf.constant(CLEAN), tf.constant(ADVERSARIAL)]
    analytic, numeric = tf.test.compute_gradient(
        lambda *args: tf.reduce_sum(weights * loss(*args)), logits, delta=1e-5
    )
    for got, want in zip(analytic, numeric, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["trades", "mart"])
def test_clean_and_adversarial_logits_both_receive_gradient(name):
    logits = [tf.constant(CLEAN), tf.constant(ADVERSARIAL)]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(LOSSES[name](*logits))
    for gradient in tape.gradient(total, logits):
        labeled = np.any(np.asarray(gradient) != 0, axis=1)
        np.testing.assert_array_equal(labeled, PARTLY_LABELED != -1)


@every_loss
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_low_precision_logits_give_float32(loss, dtype):
    rounded = [tf.cast(logits, dtype) for logits in (CLEAN, ADVERSARIAL)]
    got = loss(*rounded)
    want = loss(*[tf.cast(logits, tf.float64) for logits in rounded])
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@every_loss
def test_float64_stays_float64(loss):
    assert loss(CLEAN, ADVERSARIAL).dtype == tf.float64


@every_loss
def test_extreme_logits_give_finite_values_and_gradients(loss):
    logits = [tf.constant(1e4 * CLEAN, tf.float32), tf.constant(-1e4 * ADVERSARIAL, tf.float32)]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = loss(*logits)
    assert np.all(np.isfinite(losses))
    gradients = tape.gradient(losses, logits, unconnected_gradients="zero")
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@every_loss
def test_graph_equals_eager_with_unknown_batch_size(loss):
    if loss is kl_divergence:
        spec = tf.TensorSpec([None, 4], tf.float64)
        traced = tf.function(loss, input_signature=[spec, spec])
    else:
        traced = tf.function(loss)
    want = loss(CLEAN, ADVERSARIAL)
    np.testing.assert_allclose(traced(CLEAN, ADVERSARIAL), want, rtol=1e-14)


def test_mart_in_a_graph_of_unknown_batch_size_equals_eager():
    spec = tf.TensorSpec([None, 4], tf.float64)

    @tf.function(input_signature=[spec, spec, tf.TensorSpec([None], tf.int64)])
    def traced(clean, adversarial, labels):
        return mart_loss(clean, adversarial, labels, beta=BETA)

    want = mart_loss(CLEAN, ADVERSARIAL, PARTLY_LABELED, beta=BETA)
    np.testing.assert_allclose(traced(CLEAN, ADVERSARIAL, PARTLY_LABELED), want, rtol=1e-14)


def test_images_are_independent_of_their_order():
    order = np.array([4, 2, 0, 5, 1, 3])
    for loss in (trades_loss, mart_loss):
        want = loss(CLEAN, ADVERSARIAL, PARTLY_LABELED, beta=BETA)
        got = loss(CLEAN[order], ADVERSARIAL[order], PARTLY_LABELED[order], beta=BETA)
        np.testing.assert_allclose(got, tf.gather(want, order), rtol=1e-14)


@pytest.mark.parametrize("name", ["cross_entropy", "trades", "mart"])
def test_unlabeled_images_give_exactly_zero(name):
    losses = LOSSES[name](CLEAN, ADVERSARIAL)
    np.testing.assert_array_equal(tf.boolean_mask(losses, PARTLY_LABELED == -1), [0.0, 0.0])


@pytest.mark.parametrize("loss", [trades_loss, mart_loss])
@pytest.mark.parametrize("beta", [-1.0, float("nan"), None])
def test_beta_must_not_be_negative(loss, beta):
    with pytest.raises(ValueError, match="`beta` must be a finite number >= 0; received"):
        loss(CLEAN, ADVERSARIAL, LABELS, beta=beta)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`logits` must have shape.*received shape \(4,\)"):
        cross_entropy_loss(CLEAN[0], LABELS)
    with pytest.raises(ValueError, match=r"`labels` must have shape.*here \(6,\).*\(5,\)"):
        cross_entropy_loss(CLEAN, LABELS[:5])
    with pytest.raises(ValueError, match=r"`clean_logits` must have shape.*\(4,\)"):
        kl_divergence(CLEAN[0], ADVERSARIAL)
    for loss in (trades_loss, mart_loss):
        with pytest.raises(ValueError, match=r"`adversarial_logits`.*here \(6, 4\).*\(6, 3\)"):
            loss(CLEAN, ADVERSARIAL[:, :3], LABELS, beta=BETA)
        with pytest.raises(ValueError, match="`labels` must be integers; received dtype float64"):
            loss(CLEAN, ADVERSARIAL, LABELS.astype(np.float64), beta=BETA)
