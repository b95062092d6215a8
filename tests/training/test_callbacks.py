"""What stands in TensorBoard, the guards between steps, and the clock of a stage."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ascl_tf.errors import RunError
from ascl_tf.training import callbacks, run, tensorboard
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly, weak_views_for_strong
from tests.methods import helpers
from tests.training.worlds import make_tiny_world

LOG_EVERY, NUM_STEPS = 3, 8
# Tags of other pages than that of the scalars.
PAGES = ("settings", "views", "perturbations", "warnings", "_hparams_")


@pytest.fixture(scope="module")
def run_of_two_epochs(tmp_path_factory):
    """Returns the event files of an ASCL run, and the losses of its steps, one by one."""
    losses, path = [], tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch, eagerly(), weak_views_for_strong():
        config = make_tiny_world(monkeypatch).replace(epochs=2, log_every=LOG_EVERY)
        means_before = {}

        def keep_losses(self, batch, logs=None):
            # Keras' logs are means since the epoch began.
            means = {name: float(logs[name]) for name in logs}
            before = means_before if batch else dict.fromkeys(means, 0.0)
            losses.append({k: means[k] * (batch + 1) - before[k] * batch for k in means})
            means_before.update(means)

        monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", keep_losses)
        run.run_stages(config, "pretrain", WorkDirectory(path))
    folder = path / "tensorboard" / "pretrain"
    return _read(folder / "train"), losses, _read(folder / "validation")


def _read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def _scalars(accumulator, tag):
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in accumulator.Tensors(tag)}


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("loss", "loss/total"),
        ("cl_loss", "loss/cl_loss"),
        ("gradient_norm", "optimization/gradient_norm"),
    ],
)
def test_scalars_are_means_over_the_steps_since_the_last_ones(run_of_two_epochs, name, tag):
    accumulator, losses, _ = run_of_two_epochs
    values = [step[name] for step in losses]
    assert len(values) == NUM_STEPS and len(set(values)) == NUM_STEPS
    # Written every third step and at the end of each epoch of four.
    expected = {3: values[:3], 4: values[3:4], 6: values[4:6], 8: values[6:8]}
    written = _scalars(accumulator, tag)
    assert written == pytest.approx({s: np.mean(v) for s, v in expected.items()}, rel=1e-4)


def test_every_quantity_is_written(run_of_two_epochs):
    train, validation = (set(run_of_two_epochs[i].Tags()["tensors"]) for i in (0, 2))
    accuracies = {"accuracy/standard", "accuracy/robust"}
    assert validation == accuracies | {"checks/predicted_classes"}
    names = ["gradient_norm", "update_norm", "learning_rate", "images_per_second"]
    expected = accuracies | {f"optimization/{name}" for name in names}
    expected |= {"loss/total", "loss/at_loss", "loss/ascl_loss", "checks/projection_std"}
    for branch in ("clean", "adversarial"):
        expected.add(f"statistics/{branch}/mean_abs_moving_mean")
        expected.add(f"statistics/{branch}/mean_moving_variance")
    assert expected <= train
    # The statistics are the last page of scalars.
    assert max(tag for tag in train if tag.split("/")[0] not in PAGES).startswith("statistics/")


def test_every_tag_says_what_it_is(run_of_two_epochs):
    for events in run_of_two_epochs[::2]:
        for tag in events.Tags()["tensors"]:
            if not tag.startswith("_hparams_"):
                assert events.SummaryMetadata(tag).summary_description, tag


def test_settings_are_text_and_hyperparameters(run_of_two_epochs):
    train = run_of_two_epochs[0]
    (text,) = (tf.make_ndarray(event.tensor_proto) for event in train.Tensors("settings"))
    assert b"| learning_rate | 0.05 |" in text.item()
    plugins = train.SummaryMetadata("_hparams_/session_start_info").plugin_data
    session = HParamsPluginData.FromString(plugins.content).session_start_info
    assert session.hparams["method"].string_value == "ascl"
    assert session.hparams["learning_rate"].number_value == 0.05


def test_images_per_second_are_counted_between_two_points(run_of_two_epochs):
    rates = _scalars(run_of_two_epochs[0], "optimization/images_per_second")
    assert set(rates) == {3, 4, 6, 8} and all(rate > 0 for rate in rates.values())


def test_learning_rate_is_that_of_the_step(run_of_two_epochs):
    rates = _scalars(run_of_two_epochs[0], "optimization/learning_rate")
    # 60 % of two epochs rounds to one, 80 % to two.
    expected = {s: 0.05 * (0.1 if s >= 4 else 1.0) * (0.1 if s >= 8 else 1.0) for s in rates}
    assert rates == pytest.approx(expected, rel=1e-6)


def test_pictures_of_views_and_perturbations_are_written(run_of_two_epochs):
    accumulator, _, _ = run_of_two_epochs
    expected = {f"views/{n}" for n in ("images", "stacked_views", "images_at", "views_cl")}
    expected |= {f"perturbations/{n}" for n in ("images_at", "views_cl", "images_ascl")}
    assert expected <= set(accumulator.Tags()["tensors"])
    steps = [event.step for event in accumulator.Tensors("perturbations/images_at")]
    assert steps == [4, 8]
    width, height, png = tf.make_ndarray(accumulator.Tensors("views/views_cl")[0].tensor_proto)
    # Eight images of 8 x 8, enlarged to 96 x 96, in two rows: view 0, view 1.
    assert (int(width), int(height)) == (768, 192)
    assert tf.image.decode_png(png).shape == (192, 768, 3)


@pytest.mark.parametrize("num_images, columns, rows", [(8, 8, 1), (16, 8, 2), (3, 3, 1)])
def test_picture_shows_images_side_by_side_row_after_row(num_images, columns, rows):
    images = np.arange(num_images, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 3, 3))
    picture = tensorboard.image_grid(tf.constant(images)).numpy()
    assert picture.shape == (1, 2 * rows, 3 * columns, 3)
    for i in range(num_images):
        row, column = divmod(i, columns)
        tile = picture[0, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
        np.testing.assert_array_equal(tile, images[i])


def test_perturbations_are_drawn_from_black_over_grey_to_white():
    written = {}
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="at")))
    natural = tf.fill([3, 8, 8, 3], 0.5)
    shift = tf.constant([-1.0, 0.0, 1.0])[:, None, None, None] * float(method.config.epsilon)
    pictures = tensorboard.TensorBoardPictures(None, helpers.make_dataset(), num_epochs=1)
    pictures.set_model(method)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tf.summary, "image", lambda tag, p, **_: written.update({tag: p}))
        # A method of one's own may perturb what has no partner: "stacked_views" is missing here.
        adversarial = {"images_at": natural + shift, "views_own": natural + shift}
        pictures._write_perturbations({"images": natural}, adversarial)
    assert list(written) == ["perturbations/images_at"]
    picture = written["perturbations/images_at"].numpy()[0]
    columns = [picture[:, 96 * i : 96 * i + 96] for i in range(3)]
    for tile, value in zip(columns, (0.0, 0.5, 1.0), strict=True):
        np.testing.assert_allclose(tile, value, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_run_stops_at_the_step_and_names_the_terms(bad):
    guard = callbacks.StopOnNonFinite()
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="standard")))
    method.optimizer.iterations.assign(17)
    guard.set_model(method)
    guard.on_train_batch_end(0, {"loss": 1.0, "cl_loss": 0.0})
    with pytest.raises(RunError, match=r"step 17: .* in cl_loss, loss\. Checkpoints of earlier"):
        guard.on_train_batch_end(1, {"cl_loss": bad, "at_loss": 1.0, "loss": bad})


# The clock counts steps and what belongs to a recipe, and nothing else.


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still until it is moved; the CPU's runs twice as fast."""
    time = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks, "_now", lambda: (time.now, 2 * time.now))
    return time


def _history():
    return types.SimpleNamespace(epoch_seconds=[], clock_seconds={})


def _step(clock, time, seconds):
    clock.on_train_batch_begin(0)
    time.now += seconds
    clock.on_train_batch_end(0)
    time.now += 100.0  # Validation, checkpoints and the like.


def test_first_step_of_a_process_counts_as_the_mean_of_the_others(time):
    history = _history()
    clock = callbacks.TrainingClock(history)
    for seconds in (50.0, 1.0, 3.0):
        _step(clock, time, seconds)
    clock.on_epoch_end(0)
    _step(clock, time, 4.0)
    clock.on_epoch_end(1)
    assert history.epoch_seconds == [
        {"epoch": 1, "wall": 6.0, "cpu": 12.0},
        {"epoch": 2, "wall": 4.0, "cpu": 8.0},
    ]
    assert history.clock_seconds == {}


def test_interruption_changes_nothing(time):
    history = _history()
    clock = callbacks.TrainingClock(history)
    for seconds in (50.0, 2.0):
        _step(clock, time, seconds)
    again = callbacks.TrainingClock(history)  # What a checkpoint holds goes on in another process.
    for seconds in (70.0, 2.0):
        _step(again, time, seconds)
    again.on_epoch_end(0)
    assert history.epoch_seconds == [{"epoch": 1, "wall": 8.0, "cpu": 16.0}]


def test_what_belongs_to_the_recipe_is_added(time):
    clock = callbacks.TrainingClock(_history())
    with clock.counting():
        time.now += 5.0
    for seconds in (50.0, 2.0):
        _step(clock, time, seconds)
    clock.on_epoch_end(0)
    assert clock.history.epoch_seconds[0]["wall"] == 9.0


def test_single_step_counts_itself():
    assert callbacks.total_seconds({"first": [1, 7.0, 8.0]}) == (7.0, 8.0)
    assert callbacks.total_seconds({}) == (0.0, 0.0)
