"""What goes wrong without a NaN: one warning per occurrence, kept with the checkpoints."""

import dataclasses
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ascl_tf.config import Fraction
from ascl_tf.training import callbacks, overfitting, run
from ascl_tf.training.checkpoints import History
from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step
from ascl_tf.training.validation import make_prediction_counter
from ascl_tf.training.watches import (
    ChanceWatch,
    CollapseWatch,
    LossWatch,
    OneAnswerWatch,
    can_collapse,
    make_loss_watches,
    make_validation_watches,
    make_watches,
)
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import helpers

AT = helpers.TINY.replace(method="at")
FAST = AT.replace(at_attack="fgsm_rs")


class _World:
    """A method, its history and a TensorBoard writer, driven step by step without `fit`."""

    def __init__(self, config, folder):
        self.method = helpers.compile_tiny(helpers.make_method(config))
        self.history, self.folder = History(), folder
        self.writer = tf.summary.create_file_writer(str(folder))
        self.checkpoints = types.SimpleNamespace(history=self.history, step=0)

    def watch(self, kind, *more):
        watch = kind(*more, self.checkpoints, self.writer)
        return self.ready(watch)

    def ready(self, watch, steps=1000):
        watch.set_model(self.method)
        watch.set_params({"steps": steps})
        watch.on_train_begin()
        return watch

    def texts(self, name):
        self.writer.flush()
        events = EventAccumulator(str(self.folder)).Reload()
        tags = [tag for tag in events.Tags()["tensors"] if tag.startswith(name)]
        return {tag: [e.step for e in events.Tensors(tag)] for tag in tags}


def _look(watch, world, step, train=lambda: None):
    """Makes `step` the step that is looked at."""
    world.checkpoints.step = step - 1
    watch.on_train_batch_begin(0)
    train()
    world.checkpoints.step = step
    watch.on_train_batch_end(0)


def _collapse(method):
    """Gives every image the same projection."""
    dense = method.projection_head.output_dense
    dense.kernel.assign(tf.zeros_like(dense.kernel))
    dense.bias.assign(tf.ones_like(dense.bias))


@pytest.mark.slow  # Steps of a whole method.
def test_collapsed_projection_head_is_warned_of_once_per_occurrence(tmp_path, capsys):
    world = _World(helpers.TINY, tmp_path)
    watch = world.watch(CollapseWatch)
    spread = world.method.scalars["projection_std"]

    def train():
        _collapse(world.method)
        world.method.train_step(helpers.make_data())

    _look(watch, world, 50, lambda: spread.update_state(0.3))
    assert world.history.warnings == []
    for step in (100, 150):
        _look(watch, world, step, train)
    for step, value in ((150, 0.09), (200, 0.3)):
        _look(watch, world, step, lambda value=value: spread.update_state(value))
    (found,) = world.history.warnings
    assert (found["warning"], found["metric"]) == ("collapse", "train/projection_std")
    assert (found["step"], found["until"]) == (100, 200) and found["value"] < 0.05
    _look(watch, world, 250, train)
    assert [entry["step"] for entry in world.history.warnings] == [100, 250]
    out = capsys.readouterr().out
    assert out.count("warning: step") == 2
    # A tenth of 1 / sqrt(4).
    assert "warning: step 100: collapse: the spread of the proj" in out and "of 0.5" in out
    assert world.texts("warnings/") == {"warnings/collapse": [100, 250]}


def test_between_due_steps_nothing_is_read(tmp_path):
    world = _World(helpers.TINY, tmp_path)
    watch = world.watch(CollapseWatch)
    watch._counts = None  # Would raise.
    _look(watch, world, 49)
    _look(world.ready(watch, steps=1000), world, 51)


def _overfitting(world, values):
    watch = OverfittingWatch.__new__(OverfittingWatch)
    super(OverfittingWatch, watch).__init__(world.checkpoints, world.writer)
    watch._clock, watch._measure = callbacks.TrainingClock(world.history), lambda: values.pop(0)
    watch._agree = lambda function: function()
    watch._guards = world.method.config.fgsm_guard == "pgd"
    watch._chance = overfitting.chance(np.array([0, 1, 2, 0, -1]))
    return world.ready(watch)


def test_probe_looks_after_an_epoch_that_takes_as_long_as_from_look_to_look(tmp_path):
    world = _World(FAST, tmp_path)
    watch = _overfitting(world, [(80.0, 80.0)] * 6)
    for steps in (150, 250):
        world.ready(watch, steps)
        for step in range(1, 501):
            world.checkpoints.step = step
            watch.on_train_batch_end((step - 1) % steps)
    # Of 150 steps, then of 250.
    assert world.texts("probe/pgd")["probe/pgd_accuracy"] == [200, 400, 200, 250, 400, 500]


@pytest.mark.parametrize("guard", ["pgd", "warn"])
def test_lost_robustness_warns_and_the_guard_switches(tmp_path, capsys, guard):
    world = _World(FAST.replace(fgsm_guard=guard), tmp_path)
    values = [(40.0, 36.0), (35.0, 21.0), (70.0, 10.0), (72.0, 0.0), (50.0, 40.0)]
    watch = _overfitting(world, values)
    for step in (200, 300, 400):
        _look(watch, world, step)
    assert world.history.warnings == [] and not _uses_pgd(world.method)
    for step in (600, 800, 1000):
        _look(watch, world, step)
    (found,) = world.history.warnings
    assert (found["metric"], found["value"]) == ("probe/pgd_accuracy", 10.0)
    assert (found["step"], found["until"]) == (600, 1000)
    assert _uses_pgd(world.method) == found.get("switched", False) == (guard == "pgd")
    out = capsys.readouterr().out
    assert out.count("catastrophic overfitting: accuracy is 10.0 under PGD") == 1
    assert ("Training switches to PGD" in out) == (guard == "pgd")
    assert world.texts("probe/pgd")["probe/pgd_accuracy"] == [200, 400, 600, 800, 1000]


def test_network_that_has_learned_nothing_yet_is_no_case_of_it(tmp_path):
    world = _World(FAST, tmp_path)
    # One answer for all of the probe's images is right for half of them.
    watch = _overfitting(world, [(49.0, 2.0), (51.0, 2.0)])
    _look(watch, world, 200)
    assert world.history.warnings == []
    _look(watch, world, 400)
    assert len(world.history.warnings) == 1


def _uses_pgd(method):
    return bool(method.at_attack._uses_pgd.numpy())


def test_run_that_goes_on_keeps_the_switch(tmp_path):
    world = _World(FAST, tmp_path)
    world.history.warnings = [{"warning": "catastrophic_overfitting", "until": 9, "switched": True}]
    _overfitting(world, [])
    assert _uses_pgd(world.method)


def test_probe_measures_one_step_and_pgd_on_training_images_and_moves_nothing():
    method = helpers.compile_tiny(helpers.make_method(FAST))
    before = helpers.values(method)
    dataset = helpers.make_dataset(24, labels=[-1] * 12 + [0, 1, 2] * 4)
    one_step, pgd = overfitting.make_probe(method, dataset)()
    assert not helpers.changed(before, helpers.values(method))
    # Twelve labeled images.
    assert all(abs(value * 12 / 100 - round(value * 12 / 100)) < 1e-4 for value in (one_step, pgd))
    assert 0 <= pgd <= one_step <= 100
    assert overfitting.make_probe(method, dataset)() == (one_step, pgd)


def _masked_logits(images, *, branch, training):
    """Of class 0 unless the mean perturbation is 3.5/255, up to 2.6/255 more or less."""
    size = tf.abs(tf.reduce_mean(images - 128 / 255, axis=(1, 2, 3))) * 255
    other = 1 - ((size - 3.5) / 2.6) ** 2
    return tf.stack([tf.zeros_like(other), other, other - 9], axis=1)


def test_probe_sees_a_network_that_withstands_one_step_alone():
    method = helpers.compile_tiny(helpers.make_method(FAST))
    # The long step lands beyond what short ones run into.
    method.logits = _masked_logits
    dataset = helpers.make_dataset(16, labels=[0] * 16)
    grey = dataclasses.replace(dataset, images=np.full_like(dataset.images, 128))
    assert overfitting.make_probe(method, grey)() == (100.0, 0.0)


ONE_STEP = {"num_steps_at": 1, "step_size": "8/255"}


@pytest.mark.parametrize(
    ("changes", "finetune", "expected"),
    [
        ({"method": "at"}, False, False),
        ({"method": "at", "num_steps_at": 1}, False, False),
        ({"method": "at", **ONE_STEP}, False, True),
        ({"method": "rotation_at", **ONE_STEP}, False, True),
        ({"method": "standard", **ONE_STEP}, False, False),
        ({"method": "acl", **ONE_STEP}, False, False),
        ({"at_attack": "fgsm_rs"}, False, True),
        ({"finetune": "faf", "finetune_num_steps": 1, "step_size": "10/255"}, True, True),
        ({"finetune": "laf", "finetune_num_steps": 1, "step_size": "10/255"}, True, False),
    ],
)
def test_only_what_learns_from_one_long_step_is_probed(changes, finetune, expected):
    changes = {k: Fraction(v) if k == "step_size" else v for k, v in changes.items()}
    method = helpers.make_method(helpers.TINY.replace(**changes), finetune=finetune)
    assert is_trained_in_one_step(method) == expected


def test_methods_get_the_watches_that_concern_them(tmp_path):
    world = _World(helpers.TINY.replace(at_attack="fgsm_rs"), tmp_path)
    clock = callbacks.TrainingClock(world.history)
    settings = (helpers.make_dataset(), world.checkpoints, world.writer, clock, None)
    watches = make_watches(world.method, *settings)
    assert [type(watch) for watch in watches] == [CollapseWatch, OverfittingWatch]
    assert make_watches(helpers.make_method(AT), *settings) == []
    assert can_collapse(helpers.make_method(helpers.TINY.replace(method="simclr")))


def _train(world, losses, first=1, num_steps=None):
    """Makes the steps from `first` on, of these losses, under a watch of its own."""
    watch = world.watch(LossWatch, num_steps or len(losses))
    loss = world.method.scalars["loss"]
    for step, value in enumerate(losses, first):
        if step % 10 == 1:  # An epoch begins.
            loss.reset_state()
        _look(watch, world, step, lambda value=value: loss.update_state(value))
    return world.history.warnings


def _noisy(means, spread=0.5):
    return np.asarray(means) + spread * np.random.default_rng(0).normal(size=len(means))


@pytest.mark.parametrize(
    ("losses", "is_warned"),
    [
        (_noisy(np.linspace(5, 31, 40)), True),
        (_noisy(np.linspace(2.3, 3.3, 400), 0.3), True),
        (_noisy([5] * 30 + [6] * 10), True),
        (_noisy(np.geomspace(5, 1, 40)), False),
        (_noisy([2.3] * 40), False),
        (_noisy([2.3] * 400), False),
        ([2.3] * 40, False),
        (_noisy(np.linspace(2.3, 2.4, 40)), False),  # Lost in its own scatter.
        ([1, 1, 1, *[9] * 34, 1, 1, 1, 1], False),  # Over before the end.
    ],
)
def test_loss_that_ends_above_its_start_is_warned_of(tmp_path, capsys, losses, is_warned):
    world = _World(AT, tmp_path)
    found = _train(world, losses)
    assert [entry["warning"] for entry in found] == ["rising_loss"] * is_warned
    assert capsys.readouterr().out.count("warning: step") == is_warned
    steps = {"warnings/rising_loss": [len(losses)]} if is_warned else {}
    assert world.texts("warnings/") == steps
    if is_warned:
        length = len(losses) // 10
        assert found[0]["value"] == pytest.approx(np.mean(losses[-length:]), rel=1e-5)


def test_interrupted_stage_is_warned_of_as_an_undisturbed_one(tmp_path):
    losses = _noisy(np.linspace(5, 31, 40))
    worlds = [_World(AT, tmp_path / name) for name in ("stopped", "undisturbed")]
    _train(worlds[0], losses[:3], num_steps=40)
    _train(worlds[0], losses[3:38], first=4, num_steps=40)
    _train(worlds[0], losses[38:], first=39, num_steps=40)
    _train(worlds[1], losses)
    assert worlds[0].history.to_json() == worlds[1].history.to_json()
    assert len(worlds[0].history.warnings) == 1


def test_step_that_a_rollback_has_undone_does_not_count(tmp_path):
    world = _World(AT, tmp_path)
    watch, loss = world.watch(LossWatch, 40), world.method.scalars["loss"]
    _look(watch, world, 1, lambda: loss.update_state(3.0))
    _look(watch, world, 2, loss.reset_state)
    assert world.history.stage_loss == {"first": [1, 3.0, 9.0]}


@pytest.mark.parametrize(
    ("changes", "num_steps", "is_watched"),
    [
        ({"method": "at"}, 20, True),
        ({"method": "at"}, 19, False),
        ({"method": "at", "smoke": True}, 1000, False),
        ({"method": "dynacl"}, 1000, False),
        ({"method": "at", "awp_gamma": 0.01, "awp_warmup_epochs": 5}, 1000, False),
        ({"method": "at", "awp_gamma": 0.01, "awp_warmup_epochs": 0}, 1000, True),
    ],
)
def test_loss_is_compared_where_it_means_the_same(tmp_path, changes, num_steps, is_watched):
    world = _World(helpers.TINY.replace(**changes), tmp_path)
    watches = make_loss_watches(world.method, world.checkpoints, world.writer, num_steps)
    assert [type(watch) for watch in watches] == [LossWatch] * is_watched


LABELS = np.repeat([0, 1, 2], [20, 15, 15])


def _validated(world, watch, epoch, step, **found):
    world.checkpoints.step = step
    world.history.epochs.append({f"val/{name}": value for name, value in found.items()})
    watch.on_epoch_end(epoch - 1)


def test_one_answer_for_all_validation_images_is_warned_of_until_there_are_two(tmp_path, capsys):
    world = _World(AT, tmp_path)
    watch = world.watch(OneAnswerWatch, LABELS, 500)
    for epoch, count in enumerate((1, 1, 1, 2, 3, 1), 1):
        _validated(world, watch, epoch, 25 * epoch, predicted_classes=count)
    found = [(e["warning"], e["step"], e["until"]) for e in world.history.warnings]
    # The first tenth has 50 steps.
    assert found == [("one_answer", 50, 100), ("one_answer", 150, None)]
    assert "all 50 validation images, of 3 classes, get the same" in capsys.readouterr().out
    world.history.epochs.append({})  # Not validated.
    watch.on_epoch_end(7)


@pytest.mark.parametrize(("labels", "step"), [(LABELS[:9], 500), (LABELS[:20], 500), (LABELS, 19)])
def test_one_answer_is_no_wonder_for_few_images_one_class_or_few_steps(tmp_path, labels, step):
    world = _World(AT, tmp_path)
    watch = world.watch(OneAnswerWatch, labels, step)
    _validated(world, watch, 1, step, predicted_classes=1)
    assert world.history.warnings == []


@pytest.mark.parametrize(
    ("method", "robust", "standard", "is_warned"),
    [
        ("at", 40.0, 90.0, True),  # One answer for all is right for 20 of 50.
        ("at", 53.8, 90.0, True),  # 40 and twice sqrt(0.4 * 0.6 / 50).
        ("at", 53.9, 90.0, False),
        ("standard", 0.0, 53.8, True),
        ("standard", 0.0, 60.0, False),
    ],
)
def test_best_checkpoint_no_better_than_chance_is_warned_of_at_the_end(
    tmp_path, capsys, method, robust, standard, is_warned
):
    world = _World(AT.replace(method=method), tmp_path)
    watch = world.watch(ChanceWatch, LABELS, 2)
    world.history.best_epoch = 1
    _validated(world, watch, 1, 250, robust_accuracy=robust, standard_accuracy=standard)
    assert world.history.warnings == []
    _validated(world, watch, 2, 500, robust_accuracy=0.0, standard_accuracy=0.0)
    found = [(entry["warning"], entry["step"]) for entry in world.history.warnings]
    assert found == [("no_better_than_chance", 500)] * is_warned
    out = capsys.readouterr().out
    assert ("largest class makes up 40.0 % of the 50 validation images" in out) == is_warned


def test_watches_of_validation_need_one_and_no_smoke(tmp_path):
    world = _World(AT, tmp_path)
    place = (world.checkpoints, world.writer)
    length = {"num_steps": 100, "num_epochs": 5}
    found = make_validation_watches(world.method, LABELS, *place, **length)
    assert [type(watch) for watch in found] == [OneAnswerWatch, ChanceWatch]
    assert make_validation_watches(world.method, None, *place, **length) == []
    smoke = helpers.make_method(AT.replace(smoke=True))
    assert make_validation_watches(smoke, LABELS, *place, **length) == []


def test_predicted_classes_are_counted_over_all_images():
    dataset = helpers.make_dataset(7)
    bright = dataclasses.replace(dataset, images=np.full_like(dataset.images, 255))
    bright.images[:4] = 0
    weights = tf.Variable([[1.0, -1.0, 0.0]])

    def logits_fn(images):
        return (tf.reduce_mean(images, axis=(1, 2, 3))[:, None] - 0.5) @ weights

    count = make_prediction_counter(logits_fn, bright, 3)
    assert count() == 2
    weights.assign([[0.0, 0.0, 0.0]])
    assert count() == 1


class _Stopped(Exception):
    """In place of a kill."""


def _run(config, path):
    run.run_stages(config, "pretrain", WorkDirectory(path))
    record = json.loads((path / "results" / "pretrain.json").read_text())
    settings = record.pop("settings")
    assert settings["at_attack"] == "fgsm_rs"
    return {k: v for k, v in record.items() if not k.endswith("seconds")}


@pytest.mark.slow
def test_guarded_run_stopped_after_the_switch_continues_bit_for_bit(
    tiny_world, tmp_path, monkeypatch
):
    monkeypatch.setattr(overfitting, "make_probe", lambda *_: lambda: (80.0, 0.0))
    monkeypatch.setattr(OverfittingWatch, "every", 4)  # An epoch.
    config = tiny_world.replace(
        method="at", at_attack="fgsm_rs", num_steps_at=3, checkpoint_every=3
    )
    undisturbed = _run(config, tmp_path / "undisturbed")
    (found,) = undisturbed["warnings"]
    assert (found["step"], found["switched"]) == (4, True)

    def stop(self, batch, logs=None):
        if self.checkpoints.step == 7:
            raise _Stopped

    with monkeypatch.context() as patch, pytest.raises(_Stopped):
        patch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", stop)
        _run(config, tmp_path / "stopped")
    assert _run(config, tmp_path / "stopped") == undisturbed
    unguarded = _run(config.replace(fgsm_guard="warn"), tmp_path / "unguarded")
    first, second = (record["epochs"] for record in (undisturbed, unguarded))
    assert first[0] == second[0] and first[1]["train/loss"] != second[1]["train/loss"]


@pytest.mark.slow
def test_stage_that_unlearns_says_so_also_where_it_was_stopped(tiny_world, tmp_path, monkeypatch):
    # 21 steps in all; twelve validation images.
    config = tiny_world.replace(
        method="standard", epochs=7, validation_fraction=0.4, learning_rate=1.0, decay_at=""
    )
    names = []
    for name in ("undisturbed", "stopped"):
        if name == "stopped":
            with monkeypatch.context() as patch, pytest.raises(_Stopped):
                patch.setattr(callbacks.ContinueEpoch, "on_epoch_begin", _stop_in_epoch_six)
                run.run_stages(config, "pretrain", WorkDirectory(tmp_path / name))
        run.run_stages(config, "pretrain", WorkDirectory(tmp_path / name))
        record = json.loads((tmp_path / name / "results" / "pretrain.json").read_text())
        names.append([(w["warning"], w["step"], w["value"]) for w in record["warnings"]])
    assert names[0] == names[1]
    assert {entry[:2] for entry in names[0]} == {
        ("rising_loss", 21),
        ("one_answer", 21),
        ("no_better_than_chance", 21),
    }
    assert all(row["val/predicted_classes"] in (1, 2, 3) for row in record["epochs"])


def _stop_in_epoch_six(self, epoch, logs=None):
    if epoch == 5:
        raise _Stopped
