"""Attacks of an ensemble as compiled functions on batches of any size.

Each is traced once, for any number of images in a batch. An attack runs in pieces, and images that
fool the classifier are dropped after each piece. On CPUs the parts of a batch run in parallel.
"""

import concurrent.futures
import dataclasses
import os

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import norms
from ascl_tf.attacks.apgd import ApgdSearch
from ascl_tf.attacks.fab import FabSearch, fab_start
from ascl_tf.attacks.square import SquareSearch

# Sizes above this are rounded up, to as many steps between one power of two and the next
# as half of it: at most every sixteenth image is padding.
_EXACT_SIZES = 32

# Early steps fool many images, later ones few: a piece is a quarter of the steps before
# it, and at least so many.
_SHORTEST_PIECE = {"apgd": 5, "fab": 5, "square": 20}


def make_runner(attack, logits_fn, image_shape, *, num_classes, epsilon, norm):
    """Returns a function (images, labels, targets, number, seeds, owners=None) -> candidates.

    Args:
        attack: a `PlannedAttack`.
        logits_fn: callable images -> logits [B, num_classes].
        image_shape: (H, W, C).
        num_classes: Python int.
        epsilon, norm: the ball.

    The function's arguments: images [B, H, W, C] float32, labels int32 [B], targets
    int32 [B] (used by targeted attacks), number int32 scalar (which restart), seeds
    int32 [B, 2], owners int [B] (NumPy): rows with equal owners are runs on one image, and
    when one of them succeeds the others end; None: each row by itself. The candidates are the
    images in the ball and the box that fooled the classifier, or the original images if none
    did; the caller must classify them.
    """
    if attack.kind == "square":
        search = _square(attack, logits_fn, image_shape, epsilon, norm)
    elif attack.kind == "fab":
        search = _fab(attack, logits_fn, num_classes, epsilon, norm)
    else:
        search = _apgd(attack, logits_fn, epsilon, norm)
    return _Runner(search, image_shape, _SHORTEST_PIECE[attack.kind])


@dataclasses.dataclass(frozen=True)
class _Search:
    """What the runner needs of an attack.

    Attributes:
        start: (images, labels, targets, number, seeds) -> state.
        advance: (state, first step, last step) -> state.
        outcome: state -> (points, whether the image resists so far).
        num_steps: Python int.
    """

    start: object
    advance: object
    outcome: object
    num_steps: int


def _apgd(attack, logits_fn, epsilon, norm):
    search = ApgdSearch(
        logits_fn,
        epsilon=epsilon,
        loss=attack.loss,
        norm=norm,
        num_steps=attack.num_steps,
        eot_iter=attack.eot_iter,
    )

    def start(images, labels, targets, number, seeds):
        points = norms.random_start(images, epsilon=epsilon, norm=norm, seeds=seeds)
        return search.start(images, labels, targets, points)

    def outcome(state):
        return state.control.adversarial_images, state.control.is_robust

    return _Search(start, search.advance, outcome, attack.num_steps)


def _fab(attack, logits_fn, num_classes, epsilon, norm):
    search = FabSearch(
        logits_fn, num_classes=num_classes, norm=norm, is_targeted=attack.num_targets > 0
    )

    def start(images, labels, targets, number, seeds):
        seeds = seeds if attack.num_restarts > 1 else None
        points = fab_start(images, number, epsilon, norm, seeds)
        return search.start(images, labels, targets, points)

    def outcome(state):
        return state.best_images, state.best_distance > epsilon

    return _Search(start, search.advance, outcome, attack.num_steps)


def _square(attack, logits_fn, image_shape, epsilon, norm):
    search = SquareSearch(
        logits_fn,
        [None, *image_shape],
        epsilon=epsilon,
        norm=norm,
        num_queries=attack.num_queries,
    )

    def start(images, labels, targets, number, seeds):
        return search.start(images, labels, seeds)

    def outcome(state):
        return state.best_images, state.best_margin > 0

    return _Search(start, search.advance, outcome, attack.num_queries)


class _Runner:
    def __init__(self, search, image_shape, shortest_piece):
        self._num_steps, self._shortest_piece = search.num_steps, shortest_piece
        self._outcome = search.outcome
        self._start = PartwiseFunction(search.start, _signature(image_shape))
        self._untraced_advance, self._advance = search.advance, None

    def __call__(self, images, labels, targets, number, seeds, owners=None):
        state = self._start(images, labels, targets, number, seeds)
        found, rows = images.numpy().copy(), np.arange(len(labels))
        owners = rows if owners is None else owners
        step = 0
        while True:
            points, resists = (tensor.numpy() for tensor in self._outcome(state))
            found[rows[~resists]] = points[~resists]
            goes_on = ~np.isin(owners[rows], owners[rows[~resists]])
            if step == self._num_steps or not goes_on.any():
                return tf.constant(found)
            if not goes_on.all():
                left = _pad(np.flatnonzero(goes_on), len(labels))
                state = tf.nest.map_structure(lambda t, left=left: tf.gather(t, left), state)
                rows = rows[left]
            last = min(step + max(self._shortest_piece, step // 4), self._num_steps)
            state = self._make_advance()(state, tf.constant(step), tf.constant(last))
            step = last

    def _make_advance(self):
        if self._advance is None:
            step = tf.TensorSpec([], tf.int32)
            signature = (self._start.output_specs(), step, step)
            self._advance = PartwiseFunction(self._untraced_advance, signature)
        return self._advance


def _signature(image_shape):
    return (
        tf.TensorSpec([None, *image_shape], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
    )


# Parts with fewer images than this are not worth a thread.
_SMALLEST_PART = 8


class PartwiseFunction:
    """Function on a batch, traced once and called on parts of the batch in parallel.

    Small operations gain little from a second core, because its thread must wake up for
    each one; whole parts of the batch gain more. With an accelerator the batch stays in one piece.

    Args:
        function: a function of tensors, or structures of them, that treats each image by
            itself: arguments and results have the images on their first axis; scalar
            arguments are the same for all images.
        input_signature: of `tf.function`.
    """

    def __init__(self, function, input_signature):
        self._function = tf.function(function, input_signature=input_signature, autograph=False)
        self._concrete = None

    def __call__(self, *arguments):
        self._trace()
        flat = [tf.convert_to_tensor(tensor) for tensor in tf.nest.flatten(arguments)]
        batch_size = max(tensor.shape[0] for tensor in flat if tensor.shape.rank)
        bounds = _bounds(batch_size, _num_parts(batch_size))
        if len(bounds) == 1:
            return self._function(*arguments)

        def call(bound):
            part = [tensor[slice(*bound)] if tensor.shape.rank else tensor for tensor in flat]
            return self._function(*tf.nest.pack_sequence_as(arguments, part))

        with concurrent.futures.ThreadPoolExecutor(len(bounds)) as pool:
            parts = list(pool.map(call, bounds))
        return tf.nest.map_structure(lambda *tensors: tf.concat(tensors, axis=0), *parts)

    def output_specs(self):
        """Returns the `tf.TensorSpec`s of the results for any number of images."""
        return tf.nest.map_structure(
            lambda tensor: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype),
            self._trace().structured_outputs,
        )

    def _trace(self):
        # Never in a thread, which would not know of scopes around this call.
        if self._concrete is None:
            self._concrete = self._function.get_concrete_function()
        return self._concrete


def _num_parts(batch_size):
    if any(device.device_type != "CPU" for device in tf.config.list_logical_devices()):
        return 1
    return max(1, min(_num_cores(), batch_size // _SMALLEST_PART))


def _num_cores():
    # Zero: not set by the user.
    wanted = tf.config.threading.get_intra_op_parallelism_threads()
    affinity = getattr(os, "sched_getaffinity", None)
    return wanted or (len(affinity(0)) if affinity else os.cpu_count())


def _bounds(size, num_parts):
    """Returns (begin, end) of parts whose sizes differ by at most one image."""
    ends = [size * part // num_parts for part in range(num_parts + 1)]
    return list(zip(ends[:-1], ends[1:], strict=True))


def batches(rows, batch_size):
    """Yields (rows of a batch, how many of them are real).

    Every batch but the last is full. The last is padded with its first row: what is
    computed for padding is thrown away, but a compiler that makes code for each batch size
    meets fewer of them.

    Args:
        rows: int array, the images to attack.
        batch_size: Python int >= 1.
    """
    for begin in range(0, len(rows), batch_size):
        real = rows[begin : begin + batch_size]
        yield _pad(real, batch_size), len(real)


def _pad(rows, batch_size):
    """Returns `rows` and as many repetitions of the first as the next size needs."""
    unit = 1
    while unit * _EXACT_SIZES < len(rows):
        unit *= 2
    missing = min(-len(rows) % unit, batch_size - len(rows))
    return np.pad(rows, (0, missing), mode="constant", constant_values=rows[0])
