"""Checkpoints hold the whole state, keep what they promise, and say what is wrong with a file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.training.checkpoints import (
    BEST,
    LAST,
    History,
    StageCheckpoints,
    restore_parts,
    trackable,
)
from ascl_tf.training.checksums import write_checksums
from ascl_tf.training.schedules import StepwiseSchedule
from tests.methods import helpers


@pytest.fixture(scope="module")
def trained():
    method = helpers.compile_tiny(helpers.make_method())
    method.train_step(helpers.make_data())
    return method


@pytest.fixture
def saved(trained, tmp_path):
    checkpoints = StageCheckpoints(tmp_path, trained)
    checkpoints.history.epochs = [{"epoch": 1, "train/loss": 1.5}]
    checkpoints.history.best_robust_accuracy, checkpoints.history.best_epoch = 12.5, 1
    checkpoints.history.train_seconds = 3.25
    checkpoints.save(LAST)
    return tmp_path


def _fresh(config=helpers.TINY):
    method = helpers.compile_tiny(helpers.make_method(config))
    for variable in helpers.state(method):
        variable.assign(np.zeros(variable.shape))
    return method


def _everything(method):
    metrics = [v for metric in method.metrics for v in metric.variables]
    return [v.numpy().tobytes() for v in [*helpers.state(method), *_slots(method), *metrics]]


def _slots(method):
    return method.optimizer.variables


def test_restored_state_is_the_saved_one_bit_for_bit(trained, saved):
    method = _fresh()
    assert _everything(method) != _everything(trained)
    checkpoints = StageCheckpoints(saved, method)
    checkpoints.restore(LAST)
    assert _everything(method) == _everything(trained)
    assert checkpoints.step == 1
    history = checkpoints.history.to_json()
    # Saving adds the time since the last save to the 3.25 s of before.
    assert 3.25 < history.pop("train_seconds") < 3600
    assert history == {
        "epochs": [{"epoch": 1, "train/loss": 1.5}],
        "best_robust_accuracy": 12.5,
        "best_epoch": 1,
        "rollbacks": [],
        "warnings": [],
        "epoch_seconds": [],
        "clock_seconds": {},
        "spans": [],
        "stage_loss": {},
    }


def test_step_after_a_restored_one_is_that_of_a_run_without_a_stop(saved):
    data = [helpers.make_data(seed=seed) for seed in range(2)]
    undisturbed = helpers.compile_tiny(helpers.make_method())
    continued = _fresh()
    StageCheckpoints(saved, continued).restore(LAST)
    for method, steps in ((undisturbed, data), (continued, data[1:])):
        for batch in steps:
            method.train_step(batch)
    assert _everything(continued) == _everything(undisturbed)


def test_state_covers_both_branches_momentum_and_metrics(trained):
    paths = [v.path for v in [*helpers.state(trained), *_slots(trained)]]
    for part in ("clean/moving_mean", "adversarial/moving_variance", "velocity", "iteration"):
        assert any(part in path for path in paths), part
    assert any(np.any(v.numpy()) for v in _slots(trained) if "velocity" in v.path)
    assert any(v.numpy() for metric in trained.metrics for v in metric.variables)


def test_two_last_and_one_best_are_kept(trained, tmp_path):
    checkpoints = StageCheckpoints(tmp_path, trained)
    step = trained.optimizer.iterations.numpy()
    for number in (5, 6, 7):
        trained.optimizer.iterations.assign(number)
        checkpoints.save(LAST)
        checkpoints.save(BEST)
    trained.optimizer.iterations.assign(step)
    kept = {n: sorted(f.name for f in (tmp_path / n).glob("*.index")) for n in (LAST, BEST)}
    assert kept == {LAST: ["ckpt-6.index", "ckpt-7.index"], BEST: ["ckpt-7.index"]}


def test_save_that_a_kill_cut_short_is_finished_by_the_next_restore(trained, saved):
    StageCheckpoints(saved, trained).save(BEST)
    best = saved / BEST
    expected = {path.name: path.read_bytes() for path in best.iterdir()}
    for name in [name for name in expected if name.startswith("ckpt-1.")]:
        older = name.replace("ckpt-1", "ckpt-0")
        (best / older).write_bytes(expected[name].replace(b"ckpt-1.", b"ckpt-0."))
    (best / "ckpt-7.index").write_bytes(b"half")
    (best / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    StageCheckpoints(saved, _fresh()).restore(LAST)
    assert {path.name: path.read_bytes() for path in best.iterdir()} == expected


def test_absent_checkpoint_is_named(trained, tmp_path):
    checkpoints = StageCheckpoints(tmp_path, trained)
    assert not checkpoints.has(LAST)
    with pytest.raises(RunError, match=r"last: expected a checkpoint; found none"):
        checkpoints.restore(LAST)
    with pytest.raises(RunError, match=r"best: expected a checkpoint; found none"):
        restore_parts(tmp_path, BEST, encoder=trained.encoder)


def test_parts_are_restored_and_the_rest_is_left(trained, saved):
    method = _fresh()
    restore_parts(saved, LAST, encoder=method.encoder, linear_head=method.linear_head)
    for have, want in zip(helpers.state(method), helpers.state(trained), strict=True):
        expected = 0.0 if "projection_head" in have.path else want.numpy()
        np.testing.assert_array_equal(have.numpy(), expected, err_msg=have.path)
    assert not np.any(_slots(method)[0].numpy())


OTHER_NETWORKS = {
    "shared batch norm": helpers.TINY.replace(batch_norm="shared"),
    "other projections": helpers.TINY.replace(projection_dim=5),
    "no projection head": helpers.TINY.replace(method="at"),
}


@pytest.mark.parametrize("config", OTHER_NETWORKS.values(), ids=OTHER_NETWORKS.keys())
def test_checkpoint_of_another_network_is_refused_in_one_line(saved, config):
    checkpoints = StageCheckpoints(saved, _fresh(config))
    _check_one_line(lambda: checkpoints.restore(LAST))


def test_parts_of_another_network_are_refused_in_one_line(saved):
    method = _fresh(helpers.TINY.replace(batch_norm="shared"))
    _check_one_line(lambda: restore_parts(saved, LAST, encoder=method.encoder))


def _check_one_line(restore):
    with pytest.raises(RunError, match="expected a whole checkpoint of this network; found") as e:
        restore()
    assert "ckpt-1" in str(e.value) and len(str(e.value).splitlines()) == 1


RATE_INSIDE = helpers.TINY.replace(method="standard", optimizer="lars")
RATE_OUTSIDE = RATE_INSIDE.replace(lars_rate="outside")


def _save_as_before(method, path):
    """Writes a checkpoint as it was while Keras' own SGD was the optimizer."""
    variables = method.step_variables()
    optimizer = keras.optimizers.SGD(StepwiseSchedule(0.1), momentum=0.9)
    optimizer.build(variables)
    optimizer.apply_gradients([(tf.ones_like(v.value), v) for v in variables])
    parts = {name: trackable(part.weights) for name, part in method.parts.items()}
    scalars = trackable([v for m in method.scalars.values() for v in m.variables])
    checkpoint = tf.train.Checkpoint(
        **parts, optimizer=trackable(optimizer.variables), scalars=scalars, history=History()
    )
    checkpoint.save_counter.assign(0)
    (path / LAST).mkdir()
    checkpoint.write(str(path / LAST / "ckpt-1"))
    write_checksums(path / LAST / "ckpt-1")


def test_checkpoint_with_the_rate_inside_momentum_is_refused_in_one_line(tmp_path):
    _save_as_before(helpers.compile_tiny(helpers.make_method()), tmp_path)
    method = _fresh()
    before = _everything(method)
    with pytest.raises(RunError) as error:
        StageCheckpoints(tmp_path, method).restore(LAST)
    assert str(error.value) == (
        f"{tmp_path / LAST / 'ckpt-1'}: expected momentum without the learning rate in it; found "
        "momentum with it, of another version or optimizer: repeat the stage in another "
        "`workdir` (a finished one still serves `stage=finetune`, evaluate and export)"
    )
    assert _everything(method) == before
    assert (tmp_path / LAST / "ckpt-1.index").exists()


def test_encoder_of_such_a_checkpoint_still_serves_fine_tuning(tmp_path):
    source = helpers.compile_tiny(helpers.make_method())
    _save_as_before(source, tmp_path)
    method = _fresh()
    restore_parts(tmp_path, LAST, encoder=method.encoder)
    for have, want in zip(method.encoder.weights, source.encoder.weights, strict=True):
        np.testing.assert_array_equal(have.numpy(), want.numpy())


def test_lars_with_the_rate_inside_reads_what_it_wrote_before(tmp_path):
    config = RATE_INSIDE.replace(momentum=0.9)
    _save_as_before(helpers.compile_tiny(helpers.make_method(config)), tmp_path)
    method = _fresh(config)
    StageCheckpoints(tmp_path, method).restore(LAST)
    slots = [v.numpy() for v in _slots(method) if "momentum" in v.path]
    assert slots and all(np.all(slot == np.float32(-0.1)) for slot in slots)


@pytest.mark.parametrize("saved", [RATE_INSIDE, RATE_OUTSIDE], ids=["inside", "outside"])
@pytest.mark.parametrize("read", [RATE_INSIDE, RATE_OUTSIDE], ids=["inside", "outside"])
def test_velocity_is_read_in_its_own_convention_only(tmp_path, saved, read):
    source = helpers.compile_tiny(helpers.make_method(saved))
    source.train_step(helpers.make_data())
    StageCheckpoints(tmp_path, source).save(LAST)
    method = _fresh(read)
    if saved == read:
        StageCheckpoints(tmp_path, method).restore(LAST)
        assert _everything(method) == _everything(source)
        return
    with pytest.raises(RunError, match="expected momentum with(out)? the learning rate in it"):
        StageCheckpoints(tmp_path, method).restore(LAST)


def _data_file(folder):
    (path,) = (folder / LAST).glob("*.data-*")
    return path


def test_flipped_bits_are_found(saved):
    path = _data_file(saved)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    _check_one_line(lambda: StageCheckpoints(saved, _fresh()).restore(LAST))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file_is_found(saved, share):
    path = _data_file(saved)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    _check_one_line(lambda: StageCheckpoints(saved, _fresh()).restore(LAST))


def test_truncated_index_is_found(saved):
    (path,) = (saved / LAST).glob("*.index")
    path.write_bytes(path.read_bytes()[:40])
    _check_one_line(lambda: StageCheckpoints(saved, _fresh()).restore(LAST))
