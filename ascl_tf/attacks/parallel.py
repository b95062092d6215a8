"""Calling a graph on the parts of a batch at the same time, one part per CPU core."""

import concurrent.futures
import os

import tensorflow as tf

# Parts with fewer images than this are not worth a thread.
_SMALLEST_PART = 8


class PartwiseFunction:
    """A function on a batch, traced once and called on parts of the batch side by side.

    Small operations gain little from a second core, since its thread must be woken for
    each; whole parts of the batch do. With an accelerator the batch stays in one piece.

    Args:
        function: a function of tensors, or structures of them, that treats each image by
            itself: arguments and results have the images on their first axis; scalar
            arguments are the same for all.
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
        """Returns the results' `tf.TensorSpec`s for any number of images."""
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
    """Returns (begin, end) of parts that differ by one image at most."""
    ends = [size * part // num_parts for part in range(num_parts + 1)]
    return list(zip(ends[:-1], ends[1:], strict=True))
