"""The attacks of an ensemble as compiled functions on batches of any size.

Each is traced once: the number of images in a batch is left open.
"""

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.apgd import apgd_run
from ascl_tf.attacks.batching import pad
from ascl_tf.attacks.fab import fab_run, fab_start
from ascl_tf.attacks.square import SquareSearch

# Square: after so many queries, at least, finished images are left out.
_SHORTEST_PIECE = 20


def make_runner(attack, logits_fn, image_shape, *, num_classes, epsilon, norm):
    """Returns a function (images, labels, targets, number, seeds) -> candidates.

    Args:
        attack: a `PlannedAttack`.
        logits_fn: callable images -> logits [B, num_classes].
        image_shape: (H, W, C).
        num_classes: Python int.
        epsilon, norm: the ball.

    The function's arguments: images [B, H, W, C] float32, labels int32 [B], targets
    int32 [B] (used by targeted attacks), number int32 scalar (which restart), seeds
    int32 [B, 2]. Its candidates lie in ball and box; what they are classified as is for
    the caller to see.
    """
    if attack.kind == "square":
        return _SquareRunner(attack, logits_fn, image_shape, epsilon=epsilon, norm=norm)
    is_targeted = attack.num_targets > 0

    def run_apgd(images, labels, targets, number, seeds):
        return apgd_run(
            logits_fn,
            images,
            labels,
            targets=targets if is_targeted else None,
            epsilon=epsilon,
            loss=attack.loss,
            norm=norm,
            num_steps=attack.num_steps,
            eot_iter=attack.eot_iter,
            seeds=seeds,
        ).adversarial_images

    def run_fab(images, labels, targets, number, seeds):
        return fab_run(
            logits_fn,
            images,
            labels,
            targets=targets if is_targeted else None,
            num_classes=num_classes,
            epsilon=epsilon,
            norm=norm,
            num_steps=attack.num_steps,
            start=fab_start(
                images, number, epsilon, norm, seeds if attack.num_restarts > 1 else None
            ),
        )

    run = run_apgd if attack.kind == "apgd" else run_fab
    return tf.function(run, input_signature=_signature(image_shape), autograph=False)


class _SquareRunner:
    """Square in pieces of queries, with the finished images left out after each."""

    def __init__(self, attack, logits_fn, image_shape, *, epsilon, norm):
        search = SquareSearch(
            logits_fn,
            [None, *image_shape],
            epsilon=epsilon,
            norm=norm,
            num_queries=attack.num_queries,
        )
        self._num_queries = attack.num_queries
        images, labels, _, number, seeds = _signature(image_shape)
        self._start = tf.function(
            search.start, input_signature=[images, labels, seeds], autograph=False
        )
        self._advance = tf.function(
            search.advance, input_signature=[search.state_spec(), number, number], autograph=False
        )

    def __call__(self, images, labels, targets, number, seeds):
        batch_size = len(labels)
        state = self._start(images, labels, seeds)
        found = state.best_images.numpy()
        rows, query = np.arange(batch_size), 0
        while query < self._num_queries:
            left = np.flatnonzero(state.best_margin.numpy() > 0)
            if not len(left):
                break
            left = pad(left, batch_size)
            state, rows = (
                tf.nest.map_structure(lambda t, i=left: tf.gather(t, i), state),
                rows[left],
            )
            # Early queries finish many images, later ones few.
            last = min(query + max(_SHORTEST_PIECE, query // 4), self._num_queries)
            state = self._advance(state, tf.constant(query), tf.constant(last))
            found[rows] = state.best_images.numpy()
            query = last
        return tf.constant(found)


def _signature(image_shape):
    return (
        tf.TensorSpec([None, *image_shape], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
    )
