"""TFLite: a classifier in float32, or with integers of 8 bits inside, and running such a file."""

import importlib
import warnings

import numpy as np
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.process.terminal import quiet_start

NUM_CALIBRATED = 200  # Images; TensorFlow's guide says a few hundred.


def convert(served, calibration=None):
    """Returns the bytes of a TFLite file: images float32 [B, H, W, 3] -> logits [B, C].

    Args:
        served: `Served`.
        calibration: float32 [N, H, W, 3] in [0, 1], images whose activations set the ranges of
            the integers; None: float32 inside.

    Raises:
        RunError: if TFLite has no operation for one of the model.
    """
    images = tf.TensorSpec([None, *served.image_shape], tf.float32, name="images")
    function = tf.function(
        lambda images: {"logits": served.logits_fn(images)}, [images], autograph=False
    )
    holder = tf.Module()
    holder.function = function
    for name, value in served.tracked.items():
        setattr(holder, f"tracked_{name}", value)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], holder
    )
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        with quiet_start():
            return converter.convert()
    except Exception as error:  # Of many kinds, with the reason in the first line.
        reason = str(error).strip().splitlines()[0]
        expected = "a network whose operations TFLite has"
        raise RunError(place="tflite", expected=expected, cause=reason) from error


def load(file):
    """Returns a function images float32 [B, H, W, 3] -> logits [B, C], NumPy, of a TFLite file.

    Of several outputs that called "logits" is taken. By `ai_edge_litert` where it is installed,
    else by TensorFlow's own interpreter.

    Raises:
        RunError: if it is no such file, or not of one input.
    """
    try:
        # Its notices go to file descriptor 2 in C++; TensorFlow's own names its successor.
        with quiet_start(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interpreter = _interpreter_class()(str(file))
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
        inputs, outputs = list(runner.get_input_details()), list(runner.get_output_details())
    except Exception as error:  # Of many kinds, for damaged files.
        reason = str(error).strip().splitlines()[0]
        raise RunError(field="path", value=file, expected="a TFLite file", cause=reason) from None
    if len(inputs) != 1 or not ("logits" in outputs or len(outputs) == 1):
        found = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise RunError(field="path", value=file, expected="images -> logits", found=found)
    (name,), output = inputs, "logits" if "logits" in outputs else outputs[0]

    def run(images):
        return runner(**{name: np.asarray(images, np.float32)})[output]

    run.image_spec = _spec(runner.get_input_details()[name])
    return run


def _interpreter_class():
    try:
        return importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        return tf.lite.Interpreter


def _spec(details):
    shape = [None if size < 0 else int(size) for size in details["shape_signature"]]
    return tf.TensorSpec(shape, tf.float32)
