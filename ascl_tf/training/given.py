"""The encoder that a caller of Python gives: made, kept in the work directory, and found again.

A model that Keras can save lies in `encoder.keras` beside the run's settings, which name it, so
that later stages find it from a command line, too.
"""

import pathlib
import tempfile
from typing import Any, NamedTuple

import keras

from ascl_tf.config import ENCODER_SETTINGS
from ascl_tf.config.networks import GIVEN
from ascl_tf.errors import ConfigError
from ascl_tf.methods.factory import choose_encoder, make_encoder, settings_of_encoder
from ascl_tf.models import Classifier
from ascl_tf.models.averaged import copy_variables, make_twin
from ascl_tf.models.copies import is_close
from ascl_tf.models.own_encoder import OwnEncoder, in_one_line, noise_images
from ascl_tf.process.files import write_whole

FILE = "encoder.keras"


class Given(NamedTuple):
    """An encoder of a caller.

    Attributes:
        encoder: built; what is trained is a copy of it.
        content: bytes of a .keras file that makes the like; empty for none.
    """

    encoder: keras.Model
    content: bytes = b""

    def keep(self, workdir: Any) -> None:
        """Writes the file into a work directory that has none yet."""
        path = workdir.path / FILE
        if self.content and not path.exists():
            write_whole(path, lambda file: file.write(self.content))


def take_encoder(encoder, config, image_shape, asked):
    """Returns (`Given`, the config that names the encoder).

    Args:
        encoder: `keras.Model`, a function that makes one, or what `pretrain` has returned.
        config: with the work directory.
        image_shape: (H, W, C).
        asked: settings that the caller has named himself.

    Raises:
        ConfigError: if it is none, or another one than the work directory holds.
    """
    if isinstance(encoder, Classifier):
        expected = "an encoder, such as the attribute `encoder` of this classifier"
        raise ConfigError(field="encoder", expected=expected, found="a classifier")
    keras.utils.set_random_seed(config.seed)  # Of what a function draws.
    built = choose_encoder(encoder, config.network, image_shape)
    if not built.built:
        built.build((None, *image_shape))
    values = _settings_of(built)
    if values is not None:
        _check_asked(values, asked)
        return Given(built), config.replace(**values)
    content = _as_file(built, image_shape) if isinstance(built, OwnEncoder) else b""
    path = pathlib.Path(config.workdir).absolute() / FILE
    if content and path.exists():
        _check_same(built, path, image_shape, config)
    name = str(path) if content else f"{GIVEN}{type(getattr(built, 'model', built)).__name__}"
    return Given(built, content), config.replace(encoder=name)


def _settings_of(encoder):
    """Returns the settings that make an encoder; None where none do."""
    known = getattr(encoder, "network_settings", None)
    if known is None:
        return settings_of_encoder(encoder)
    return {name: getattr(known, name) for name in ENCODER_SETTINGS}


def _check_asked(values, asked):
    for name in set(values) & set(asked):
        if values[name] != asked[name]:
            expected = f"{values[name]}, as the encoder was made"
            raise ConfigError(field=name, expected=expected, found=asked[name])


def _as_file(encoder, image_shape):
    """Returns the bytes of a .keras file of the model; empty where Keras reads back no like one."""
    model, images = encoder.make(), noise_images(image_shape)
    want = model(images, training=False)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / FILE
        try:
            model.save(path)
            is_like = is_close(want, keras.saving.load_model(path, compile=False)(images))
            reason = "" if is_like else "what it reads back computes something else"
        except Exception as error:  # Whatever a stranger's class raises.
            reason = in_one_line(error).partition(". ")[0]
        if not reason:
            return path.read_bytes()
    print(
        f"notice: Keras cannot save `encoder` to a file ({reason}): run later stages of this run "
        "from Python, and pass the model again",
        flush=True,
    )
    return b""


def _check_same(encoder, path, image_shape, config):
    """Raises ConfigError unless the model in a file is like `encoder`, by its weights."""
    kept = make_encoder(config.replace(encoder=str(path)).network, image_shape)
    kept.build((None, *image_shape))
    images = noise_images(image_shape)
    try:
        copy_variables(encoder, kept)
        is_like = is_close(encoder(images), kept(images))
    except ValueError:  # Other variables.
        is_like = False
    if not is_like:
        raise ConfigError(
            field="encoder",
            expected=f"the model with which {path.parent} was begun, {path.name} there",
            found="another one. Choose another `workdir` for another run",
        )


def twin_of(encoder):
    """Returns an unbuilt encoder like a built one."""
    return make_twin(encoder, "encoder")
