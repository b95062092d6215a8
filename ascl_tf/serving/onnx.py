"""ONNX, by `tf2onnx`, and running such a file; both libraries come with the extra `onnx`."""

import importlib
import logging

import numpy as np
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.process.terminal import quiet_start

_OPSET = 17  # Read by onnxruntime from 1.13 on.


def check_libraries():
    """Raises RunError unless what an export needs is installed."""
    for name in ("tf2onnx", "onnxruntime"):
        _library(name)


def convert(served):
    """Returns the bytes of an ONNX file: images float32 [B, H, W, 3] -> logits [B, C].

    Args:
        served: `Served`.

    Raises:
        RunError: if `tf2onnx` is not installed, or cannot convert an operation of the model.
    """
    tf2onnx = _library("tf2onnx")
    images = tf.TensorSpec([None, *served.image_shape], tf.float32, name="images")
    function = tf.function(
        lambda images: {"logits": served.logits_fn(images)}, [images], autograph=False
    )
    try:
        with quiet_start():
            importlib.import_module("tf2onnx.convert")
            logging.getLogger("tf2onnx").setLevel(logging.ERROR)
            model, _ = tf2onnx.convert.from_function(
                function, input_signature=[images], opset=_OPSET
            )
        return model.SerializeToString()
    except Exception as error:  # Of many kinds.
        reason = str(error).strip().splitlines()[0]
        expected = "a network whose operations tf2onnx knows"
        raise RunError(place="onnx", expected=expected, cause=reason) from error


def load(file):
    """Returns a function images float32 [B, H, W, 3] -> logits [B, C], NumPy, of an ONNX file.

    Of several outputs that called "logits" is taken.

    Raises:
        RunError: if `onnxruntime` is not installed, or it is no such file of one input.
    """
    runtime = _library("onnxruntime")
    try:
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # Of many kinds, for damaged files.
        reason = str(error).strip().splitlines()[0]
        raise RunError(field="path", value=file, expected="an ONNX file", cause=reason) from None
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    if len(inputs) != 1 or not ("logits" in outputs or len(outputs) == 1):
        found = f"{', '.join(i.name for i in inputs)} -> {', '.join(outputs)}"
        raise RunError(field="path", value=file, expected="images -> logits", found=found)
    output = "logits" if "logits" in outputs else outputs[0]

    def run(images):
        return session.run([output], {inputs[0].name: np.asarray(images, np.float32)})[0]

    shape = [size if isinstance(size, int) else None for size in inputs[0].shape]
    run.image_spec = tf.TensorSpec(shape, tf.float32)
    return run


def _library(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RunError(
            place="onnx",
            expected=f"{name}, which pip install 'ascl-tf[onnx]' brings",
            cause=error,
        ) from None
