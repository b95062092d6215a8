"""A Keras model of one's own as an encoder: made, checked, and called with `training` and `branch`.

Batch norm is Keras' own, neither fused nor folded: any model is right first.
"""

import functools
import hashlib
import inspect
import pathlib

import keras
import numpy as np

from ascl_tf.config.networks import is_file, is_given
from ascl_tf.config.outside import import_outside
from ascl_tf.errors import ConfigError
from ascl_tf.models.batch_norm import ADVERSARIAL
from ascl_tf.models.branches import batch_norm_branch, with_dual_batch_norm
from ascl_tf.models.copies import UNLIKE, NoCopyError, copy_model, is_close
from ascl_tf.models.pass_checks import check_passes, check_pixels, in_one_line

SHARED = "shared"
NUM_TRIED = 2  # Images.


class OwnEncoder(keras.Model):
    """Encoder: images [B, H, W, 3] -> features [B, F] of any Keras model.

    Args:
        make: function () -> a `keras.Model` of such images; a twin calls it once more.
        image_shape: (H, W, 3).
        batch_norm: "separate", "shared" or "triple", see `with_dual_batch_norm`.
        setting: value of the setting `encoder`, for messages.

    Raises:
        ConfigError: if the model does not take the images, returns no features [B, F], cannot have
            the branches that `batch_norm` asks for, or keeps a state that a checkpoint would not
            hold.
    """

    def __init__(self, make, image_shape, batch_norm="separate", setting=None, **kwargs):
        super().__init__(**kwargs)
        self.make, self.image_shape, self.batch_norm = make, tuple(image_shape), batch_norm
        self.setting = setting
        model = make()
        if not isinstance(model, keras.Model):
            raise self._refused("a function that returns a keras.Model", type(model).__name__)
        features = try_model(model, self.image_shape, setting)
        self._check_policy(model)
        check_pixels(model, setting)
        self.feature_dim = features.shape[-1]
        if batch_norm == SHARED:
            _synchronize(model)
        else:
            model = with_dual_batch_norm(model, batch_norm)
        self.model = model
        check_passes(self, noise_images(self.image_shape), setting)
        if not is_close(features, self(noise_images(self.image_shape))):
            raise self._refused("a model that Keras can copy", UNLIKE)

    def _check_policy(self, model):
        wanted = keras.config.dtype_policy().compute_dtype
        layers = [
            m for m in model._flatten_layers() if m.weights and not isinstance(m, keras.Model)
        ]
        found = {layer.compute_dtype for layer in layers}
        if "float16" in found:
            expected = "layers that compute in float32, or in bfloat16 for `precision=bfloat16`"
            raise self._refused(expected, "float16, in which small gradients are zero")
        if wanted == "bfloat16" and wanted not in found:
            expected = f"a function whose layers compute in {wanted}, for `precision={wanted}`"
            raise self._refused(expected, ", ".join(sorted(found)) or "none")

    def _refused(self, expected, found="", cause=""):
        return _refused(self.setting, expected, found, cause)

    def build(self, input_shape):
        self.built = True  # The model was built when it was tried.

    def call(self, images, training=False, branch=ADVERSARIAL):
        with batch_norm_branch(branch):
            return self.model(images, training=training)

    def compute_output_shape(self, input_shape):
        sizes = tuple(input_shape[1:])
        if sizes != self.image_shape:  # Patches of an image.
            with batch_norm_branch(ADVERSARIAL):
                try_model(self.model, sizes, self.setting)
        return (input_shape[0], self.feature_dim)

    def get_config(self):
        names = ("make", "image_shape", "batch_norm", "setting")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def as_encoder(model, image_shape, batch_norm):
    """Returns a copy of a Keras model, or what a function makes, as an encoder.

    What is an encoder already is returned as it is.

    Raises:
        ConfigError: if the model cannot be copied, or see `OwnEncoder`.
    """
    if hasattr(model, "feature_dim"):
        return model
    make = model
    if isinstance(model, keras.Model):
        try_model(model, image_shape)
        make = functools.partial(_copy_of, model, image_shape)
    elif callable(model) and not isinstance(model, keras.Layer):
        make = _called(model, None)
    else:
        raise _refused(None, "a keras.Model or a function that returns one", type(model).__name__)
    return OwnEncoder(make, image_shape, batch_norm, name="encoder")


def _copy_of(model, image_shape):
    try:
        return copy_model(model, noise_images(image_shape))
    except NoCopyError as error:
        expected = "a model that Keras can copy (`get_config`), or a function that makes one"
        raise _refused(None, expected, cause=error) from error


def try_model(model, image_shape, setting=None):
    """Returns the features of two images, after checking their shape; builds the model."""
    height, width, _ = image_shape
    try:
        features = model(noise_images(image_shape), training=False)
    except Exception as error:  # Whatever a user's model raises.
        wanted = f"a model that takes images of {height} x {width} pixels"
        raise _refused(setting, wanted, cause=in_one_line(error)) from error
    shape = getattr(features, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != NUM_TRIED or shape[1] is None:
        found = type(features).__name__ if shape is None else f"shape {list(shape)}"
        wanted = f"features [B, F], such as of GlobalAveragePooling2D, for {NUM_TRIED} images"
        raise _refused(setting, wanted, found)
    return features


def _refused(setting, expected, found="", cause=""):
    return ConfigError(field="encoder", value=setting, expected=expected, found=found, cause=cause)


def load_own_encoder(name, image_shape, batch_norm):
    """Returns the encoder that the setting `encoder` names: a function's, or a .keras file's.

    Raises:
        ConfigError: if it is not there, or see `OwnEncoder`.
    """
    if is_given(name):
        expected = "a function or a .keras file; or the call of Python that made this run"
        raise _refused(name, expected, "a model that was given there, and that Keras cannot save")
    make = _file_reader(name) if is_file(name) else _find_function(name)
    return OwnEncoder(make, image_shape, batch_norm, setting=name, name="encoder")


def own_encoder_sha256(name):
    """Returns the SHA-256 of the file that the setting `encoder` names."""
    file = name if is_file(name) else inspect.getfile(import_outside("encoder", name))
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def _find_function(name):
    function_name = name.partition(":")[2]
    function = getattr(import_outside("encoder", name), function_name, None)
    if not callable(function):
        found = "none" if function is None else type(function).__name__
        raise _refused(name, f"a function {function_name!r} there", found)
    return _called(function, name)


def _called(function, setting):
    """Returns a function that calls a user's, which takes no argument."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        expected = "a function without arguments that it must be given"
        raise _refused(setting, expected, cause=error) from error

    def make():
        try:
            return function()
        except Exception as error:  # Whatever a user's function raises.
            expected = "a function that returns a keras.Model"
            raise _refused(setting, expected, cause=in_one_line(error)) from error

    return make


def _file_reader(path):
    def make():
        try:
            return keras.saving.load_model(path, compile=False)
        except Exception as error:  # Of many kinds, for files of strangers.
            expected = "a file with a Keras model"
            raise _refused(path, expected, cause=in_one_line(error)) from error

    return make


def _synchronize(model):
    """Makes batch statistics those of the global batch, as everywhere here."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def noise_images(image_shape):
    """Returns [2, H, W, 3] in [0, 1], the same ones each time."""
    noise = np.random.default_rng(0).uniform(size=(NUM_TRIED, *image_shape))
    return keras.ops.convert_to_tensor(noise, dtype=keras.config.floatx())
