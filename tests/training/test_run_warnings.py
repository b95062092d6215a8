"""Collapse and catastrophic overfitting: one warning per occurrence, kept with the checkpoints."""

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
from ascl_tf.training.collapse import CollapseWatch, can_collapse
from ascl_tf.training.overfitting import OverfittingWatch, is_trained_in_one_step
from ascl_tf.training.training_clock import TrainingClock
from ascl_tf.training.watches import make_watches
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
    assert "warning: step 100: collapse: train/projection_std is" in out and "of 0.5" in out
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
    watch._clock, watch._measure = TrainingClock(world.history), lambda: values.pop(0)
    watch._agree = lambda function: function()
    watch._guards = world.method.config.fgsm_guard == "pgd"
    return world.ready(watch)


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
    assert out.count("catastrophic overfitting: probe/pgd_accuracy is 10.0") == 1
    assert ("PGD takes over" in out) == (guard == "pgd")
    assert world.texts("probe/pgd")["probe/pgd_accuracy"] == [200, 400, 600, 800, 1000]


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
    # Twelve labelled images.
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
    clock = TrainingClock(world.history)
    settings = (helpers.make_dataset(), world.checkpoints, world.writer, clock, None)
    watches = make_watches(world.method, *settings)
    assert [type(watch) for watch in watches] == [CollapseWatch, OverfittingWatch]
    assert make_watches(helpers.make_method(AT), *settings) == []
    assert can_collapse(helpers.make_method(helpers.TINY.replace(method="simclr")))


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
