"""A Keras model as an encoder: passes, random numbers, and what is refused before a run."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.methods import factory
from ascl_tf.models import ADVERSARIAL, CLEAN
from ascl_tf.models.averaged import make_twin
from ascl_tf.models.own_encoder import OwnEncoder, as_encoder, load_own_encoder
from ascl_tf.models.pass_checks import random_state
from tests.common import random_images, two_replicas, weak_views_for_strong
from tests.methods import helpers
from tests.methods.contract import float64_policy
from tests.models.own_networks import SIZE, L, Subclassed, make_functional, make_sequential
from tests.program_lines import line_matches

SHAPE = (SIZE, SIZE, 3)


def _encoder(make, batch_norm="separate"):
    return OwnEncoder(make, SHAPE, batch_norm, "mine:f", name="encoder")


def test_features_are_those_of_the_model_with_its_weights():
    model, images = make_functional(), random_images(4, SIZE)
    want = model(images)
    encoder = as_encoder(model, SHAPE, "separate")
    assert encoder.feature_dim == 4 and encoder.compute_output_shape((None, *SHAPE)) == (None, 4)
    for branch in (CLEAN, ADVERSARIAL):
        np.testing.assert_allclose(encoder(images, branch=branch), want, rtol=1e-6)


def test_encoder_of_the_package_stays_what_it_is():
    encoder = helpers.TinyEncoder()
    assert as_encoder(encoder, SHAPE, "separate") is encoder


def test_checks_leave_every_variable_as_it_was():
    keras.utils.set_random_seed(0)
    model = make_functional(dropout=0.5)
    before = [v.numpy() for v in model.variables]
    encoder = _encoder(lambda: model, "shared")
    after = [v.numpy() for v in encoder.variables]
    assert len(before) == len(after)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "make, batch_norm",
    [(lambda: make_functional(dropout=0.5), "separate"), (lambda: Subclassed(0.5), "shared")],
)
def test_dropout_is_random_in_training_passes_alone(make, batch_norm):
    encoder, images = _encoder(make, batch_norm), random_images(4, SIZE)
    assert len(random_state(encoder)) == 1

    @tf.function(autograph=False)
    def passes(training):
        # Two passes, and the gradient by the images that an attack follows.
        x = tf.constant(images)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            features = [encoder(x, training=training, branch=CLEAN) for _ in range(2)]
        return [features, [tape.gradient(f, x) for f in features]]

    for first, second in passes(True):
        assert np.abs(first - second).max() > 1e-3
    state = random_state(encoder)[0].numpy()
    for first, second in passes(False):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(random_state(encoder)[0], state)


def test_twin_is_drawn_anew_from_a_function_and_copied_from_a_model():
    twin = make_twin(_encoder(make_sequential), "twin")
    assert twin.name == "twin" and twin.feature_dim == 4
    model = make_functional()
    encoder = as_encoder(model, SHAPE, "separate")
    twin, images = make_twin(encoder, "twin"), random_images(4, SIZE)
    np.testing.assert_allclose(twin(images), encoder(images), rtol=1e-6)
    assert not {id(v) for v in twin.variables} & {id(v) for v in encoder.variables}


class WithoutArguments(keras.Model):
    """As users write them first: no `**kwargs`, no `get_config`."""

    def __init__(self):
        super().__init__()
        self.norm, self.pool = L.BatchNormalization(), L.GlobalAveragePooling2D()
        self.gain = 1.0

    def call(self, images):
        return self.pool(self.norm(images)) * self.gain


def _adapted():
    normalization = L.Normalization()
    normalization.adapt(random_images(8, SIZE) * 0.3)
    return _pooled(normalization, L.Conv2D(4, 3), L.BatchNormalization())


def _with_lambda():
    return _pooled(L.Lambda(lambda x: keras.ops.square(x)), L.Conv2D(4, 3), L.BatchNormalization())


@pytest.mark.parametrize(
    "make, batch_norm",
    [
        (make_functional, "shared"),
        (WithoutArguments, "shared"),
        (_adapted, "separate"),
        (_adapted, "shared"),
        (_with_lambda, "separate"),
        (_with_lambda, "shared"),
    ],
)
def test_model_is_copied_with_all_that_it_computes_with(make, batch_norm):
    model, images = make(), random_images(4, SIZE)
    want, before = model(images).numpy(), model.get_weights()
    encoder = as_encoder(model, SHAPE, batch_norm)
    np.testing.assert_allclose(encoder(images, branch=CLEAN), want, rtol=1e-5)
    encoder(images, branch=CLEAN, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not {id(v) for v in encoder.variables} & {id(v) for v in model.variables}


def _with_other_gain():
    model = WithoutArguments()
    model.gain = 3.0
    return model


class Unserializable(WithoutArguments):
    def __init__(self, activation):
        super().__init__()
        self.activation = activation


@pytest.mark.parametrize(
    "model, line",
    [
        (
            _with_other_gain(),
            "that Keras can copy .*, or a function .*; found: .* its class, config",
        ),
        (Unserializable(keras.ops.relu), "Keras can copy .*; found: .* must override `get_config"),
        ("mine:f", "--encoder: expected a keras.Model or a function that returns one; found str"),
        (lambda size: None, "--encoder: expected a function without arguments that it must be"),
    ],
)
def test_model_that_cannot_be_copied_is_refused_in_one_line(model, line):
    with line_matches(ConfigError, line):
        as_encoder(model, SHAPE, "shared")


def test_function_takes_the_place_of_a_model():
    encoder = as_encoder(lambda: Unserializable(keras.ops.relu), SHAPE, "shared")
    assert encoder.feature_dim == 3 and make_twin(encoder, "twin").feature_dim == 3


def test_weights_of_a_file_come_along(tmp_path):
    model, images = make_functional(), random_images(4, SIZE)
    model.layers[1].bias.assign([1.0, 2.0, 3.0, 4.0])
    model.save(tmp_path / "m.keras")
    encoder = load_own_encoder(str(tmp_path / "m.keras"), SHAPE, "separate")
    np.testing.assert_allclose(encoder(images, branch=CLEAN), model(images), rtol=1e-6)


@pytest.mark.parametrize(
    "make, batch_norm", [(make_functional, "separate"), (Subclassed, "shared")]
)
def test_statistics_of_a_pass_are_those_of_both_replicas(make, batch_norm):
    images = tf.constant(random_images(6))
    one = as_encoder(make(), SHAPE, batch_norm)
    with two_replicas().scope():
        two = as_encoder(make(), SHAPE, batch_norm)
    for variable, value in zip(two.weights, one.get_weights(), strict=True):
        variable.assign(value)
    before = one.get_weights()
    one(images, training=True, branch=CLEAN)
    parts = two_replicas().experimental_distribute_values_from_function(
        lambda context: images[3 * context.replica_id_in_sync_group :][:3]
    )
    two_replicas().run(lambda x: two(x, training=True, branch=CLEAN), args=(parts,))
    after = one.get_weights()
    for a, b in zip(after, two.weights, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-5)
    assert sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)) >= 2


@pytest.mark.slow  # A pass on two replicas is above.
@pytest.mark.parametrize(
    "make, batch_norm", [(make_functional, "separate"), (Subclassed, "shared")]
)
def test_two_replicas_step_as_one(make, batch_norm):
    # A step that kills units would leave gradients whose signs are a matter of rounding.
    keras.utils.set_random_seed(1)
    changes = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    chosen = {"method": "acl", "acl_mode": "ds", "num_steps_cl": 1}
    config = helpers.TINY.replace(**changes, **chosen, batch_norm=batch_norm)

    def build(weights=None):
        method = factory.make_pretrain_method(
            config, num_classes=helpers.NUM_CLASSES, image_shape=SHAPE, encoder=make()
        )
        for variable, value in zip(helpers.state(method), weights or (), strict=bool(weights)):
            variable.assign(value)
        return helpers.compile_tiny(method)

    dataset = helpers.make_dataset()
    with float64_policy(), weak_views_for_strong():
        one = build()
        start = [v.numpy() for v in helpers.state(one)]
        helpers.fit(one, dataset, eagerly=True)
        with two_replicas().scope():
            two = build(start)
        helpers.fit(two, dataset, eagerly=True)
    pairs = list(zip(helpers.state(one), helpers.state(two), strict=True))
    assert max(np.abs(a.numpy() - b.numpy()).max() for a, b in pairs) < 1e-9
    assert any(np.any(a.numpy() != b) for a, b in zip(helpers.state(one), start, strict=True))


@pytest.mark.slow  # test_own_network.py trains such networks.
def test_step_moves_the_branches_that_it_goes_through():
    config = helpers.TINY.replace(method="acl", acl_mode="ds", num_steps_cl=1)
    for batch_norm, branches in (("separate", ("clean", "adversarial")), ("triple", None)):
        config = config.replace(batch_norm=batch_norm)
        method = helpers.compile_tiny(
            factory.make_pretrain_method(
                config, num_classes=3, image_shape=SHAPE, encoder=make_functional()
            )
        )
        before = helpers.values(method)
        method.train_step(helpers.make_data())
        changed = helpers.changed(before, helpers.values(method))
        moved = {path.split("/")[-2] for path in changed if "moving_mean" in path}
        assert moved == set(branches or ("clean", "adversarial"))
    # Of the branch that no pass goes through, affine parameters stay as well.
    assert not any("/adversarial_ce/" in path for path in changed)


def _pooled(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers, L.GlobalAveragePooling2D()])


class Unseeded(L.Layer):
    def call(self, images, training=False):
        return images + tf.random.uniform(tf.shape(images)) if training else images


class Counting(L.Layer):
    def build(self, shape):
        self.count = self.add_weight(name="count", trainable=False, initializer="zeros")

    def call(self, images, training=False):
        if training:
            self.count.assign(self.count + 1)
        return images


class GloballySeeded(L.Layer):
    def call(self, images, training=False):
        return images + keras.random.uniform(keras.ops.shape(images)) if training else images


def _frozen():
    model = make_functional()
    model.get_layer("norm").trainable = False
    return model


class RandomAtTest(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, images):
        return images + keras.random.uniform(keras.ops.shape(images), seed=self.seeds)


def _pooled_first(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers, L.Conv2D(4, 3)])


def _of_integers():
    images = keras.Input(SHAPE, dtype="uint8")
    return keras.Model(images, L.GlobalAveragePooling2D()(L.Rescaling(1.0)(images)))


def _not_finite():
    return _pooled(L.Conv2D(4, 3, bias_initializer=keras.initializers.Constant(np.nan)))


def _of_half_precision():
    return _pooled(L.Conv2D(4, 3, dtype="mixed_float16"), L.BatchNormalization())


def test_pixels_that_are_scaled_up_first_are_well():
    layers = [L.Rescaling(255), L.Rescaling(1 / 255), L.Conv2D(4, 3), L.BatchNormalization()]
    assert _encoder(lambda: _pooled(*layers)).feature_dim == 4


PIXELS_OF_255 = r"expected a model of images in \[0, 1\] .*; found one whose first layers multiply"
MODEL = "--encoder=mine:f: expected a function that returns a keras.Model; found"
PIXELS = "expected a model that takes images of 8 x 8 pixels; found: ValueError: "
STATE = "expected layers of which training passes change .* alone; found "
BRANCHED = "--batch_norm=separate: expected batch norm .*--batch_norm=shared trains the network .*"


@pytest.mark.parametrize(
    "make, batch_norm, line",
    [
        (lambda: 3, "separate", f"{MODEL} int"),
        (lambda: L.Flatten(), "separate", f"{MODEL} Flatten"),
        (lambda: keras.Sequential([keras.Input((192,)), L.Dense(4)]), "separate", PIXELS),
        (lambda: make_functional(size=16), "separate", PIXELS),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), L.Conv2D(4, 3)]),
            "shared",
            r"expected features \[B, F\], such as of .*; found shape \[2, 6, 6, 4\]",
        ),
        (
            lambda: keras.Model(images := keras.Input(SHAPE), [images, images]),
            "shared",
            r"expected features \[B, F\].*; found list",
        ),
        (lambda: _pooled(L.Conv2D(4, 3)), "separate", f"{BRANCHED}; found none in "),
        (lambda: _pooled(L.Rescaling(1 / 255), L.Conv2D(4, 3)), "shared", PIXELS_OF_255),
        (lambda: _pooled(_pooled_first(L.Rescaling(1 / 127.5, -1))), "shared", PIXELS_OF_255),
        (_of_integers, "shared", "features that have a gradient by the images, .*; found none"),
        (_not_finite, "shared", "--encoder=mine:f: expected finite features; found NaN"),
        (_of_half_precision, "separate", "compute in float32, or in bfloat16 .*; found float16"),
        (_frozen, "separate", f"{BRANCHED}; found norm, whose statistics are frozen"),
        (
            lambda: _pooled(RandomAtTest(name="always")),
            "shared",
            "expected layers that change no state and .*; found .*seed_generator_state",
        ),
        (
            lambda: _pooled(L.SpectralNormalization(L.Conv2D(4, 3), name="spectral")),
            "shared",
            f"{STATE}.*spectral/vector_u",
        ),
        (lambda: _pooled(Counting(name="counting")), "shared", f"{STATE}.*counting/count"),
        (lambda: _pooled(GloballySeeded()), "shared", f"{STATE}a variable outside of the model"),
        (lambda: _pooled(Unseeded()), "shared", "expected random numbers from a keras.random.Seed"),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(make, batch_norm, line):
    with line_matches(ConfigError, line):
        _encoder(make, batch_norm)


def test_method_of_patches_wants_a_model_that_takes_them():
    config = helpers.TINY.replace(method="selfie", num_attention_layers=1)
    with line_matches(ConfigError, "--encoder: expected a model that takes images of 2 x 2 pixels"):
        factory.make_pretrain_method(
            config, num_classes=3, image_shape=SHAPE, encoder=make_functional()
        )


def test_frozen_batch_norm_is_trained_around_under_shared():
    encoder = _encoder(_frozen, "shared")
    assert "norm" in [m.name for m in encoder._flatten_layers()]


def test_file_computes_in_the_precision_that_it_was_saved_in(tmp_path):
    make_functional().save(tmp_path / "m.keras")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(ConfigError, match="layers compute in bfloat16.*; found float32"):
            load_own_encoder(str(tmp_path / "m.keras"), SHAPE, "separate")
        features = _encoder(make_functional)(random_images(2, SIZE))
        assert features.dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    "name, text, line",
    [
        ("absent_file:f", "", "--encoder=absent_file:f: expected a module 'absent_file' that can"),
        ("own_file:f", "1 / 0", "--encoder=own_file:f: .* imported; found: ZeroDivisionError"),
        ("own_file:f", "", "--encoder=own_file:f: expected a function 'f' there; found none"),
        ("own_file:f", "f = 3", "expected a function 'f' there; found int"),
        (
            "own_file:f",
            "def f(size): pass",
            "expected a function without arguments that it must be given; found: missing a requ",
        ),
        ("own_file:f", "def f(): return [][1]", "returns a keras.Model; found: IndexError: list"),
        ("absent.keras", "", "--encoder=absent.keras: expected a file with a Keras model; found:"),
    ],
)
def test_function_or_file_that_is_not_there_is_named(tmp_path, monkeypatch, name, text, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_file.py").write_text(text)
    monkeypatch.delitem(sys.modules, "own_file", raising=False)
    with line_matches(ConfigError, line):
        load_own_encoder(name, SHAPE, "separate")
    sys.modules.pop("own_file", None)
