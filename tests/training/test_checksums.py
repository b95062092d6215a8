"""A checkpoint is used only if its checksums hold; the one before the last stands in."""

import hashlib
import shutil
import subprocess

import pytest

from ascl_tf.errors import RunError
from ascl_tf.training import checkpoints as stage_checkpoints
from ascl_tf.training.checkpoints import BEST, LAST, StageCheckpoints, restore_parts
from ascl_tf.training.checksums import find_fault, list_prefixes
from tests.methods import helpers


@pytest.fixture(scope="module")
def method():
    return helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="standard")))


@pytest.fixture
def saved(method, tmp_path):
    """Returns checkpoints of steps 6 and 7, whose kernels hold these numbers."""
    checkpoints = StageCheckpoints(tmp_path, method)
    for step in (6, 7):
        _set(method, step)
        checkpoints.save(LAST)
    _set(method, 0)
    return tmp_path


def _set(method, step):
    method.optimizer.iterations.assign(step)
    kernel = method.encoder.conv.kernel
    kernel.assign(0 * kernel + step)


def _file(folder, step, suffix):
    (path,) = (folder / LAST).glob(f"ckpt-{step}.{suffix}*")
    return path


def _flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def test_checksums_are_as_the_command_of_the_system_writes_them(saved):
    command = ["sha256sum", "--check", "--strict", "ckpt-7.sha256"]
    if shutil.which(command[0]):
        subprocess.run(command, cwd=saved / LAST, check=True, capture_output=True)
    index = hashlib.sha256(_file(saved, 7, "index").read_bytes()).hexdigest()
    assert f"{index}  ckpt-7.index\n" in _file(saved, 7, "sha256").read_text()


DAMAGES = {
    "data flipped": lambda f: _flip(_file(f, 7, "data")),
    "index flipped": lambda f: _flip(_file(f, 7, "index")),
    "data truncated": lambda f: _truncate(_file(f, 7, "data")),
    "data empty": lambda f: _file(f, 7, "data").write_bytes(b""),
    "data gone": lambda f: _file(f, 7, "data").unlink(),
    "index gone": lambda f: _file(f, 7, "index").unlink(),
    "sums gone": lambda f: _file(f, 7, "sha256").unlink(),
    "sums empty": lambda f: _file(f, 7, "sha256").write_text(""),
    "sums garbled": lambda f: _file(f, 7, "sha256").write_bytes(b"\xff\xfe"),
    "data of another": lambda f: shutil.copyfile(_file(f, 6, "data"), _file(f, 7, "data")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_checkpoint_gives_way_to_the_one_before_and_that_is_said(
    saved, method, damage, capsys, monkeypatch
):
    damage(saved)
    loaded = []
    load = stage_checkpoints._restore_all
    monkeypatch.setattr(
        stage_checkpoints, "_restore_all", lambda c, path: (loaded.append(path), load(c, path))
    )
    checkpoints = StageCheckpoints(saved, method)
    checkpoints.restore(LAST)
    assert checkpoints.step == 6 and (method.encoder.conv.kernel.numpy() == 6).all()
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "ckpt-7: expected a whole checkpoint" in said
    assert "going back to ckpt-6" in said
    # Found before anything was loaded.
    assert [path.rpartition("/")[2] for path in loaded] == ["ckpt-6"]


def test_checkpoint_of_another_network_gives_way_too(saved, method, tmp_path, capsys):
    other = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(batch_norm="shared")))
    other.optimizer.iterations.assign(8)
    foreign = StageCheckpoints(tmp_path / "foreign", other)
    foreign.save(LAST)
    for file in (tmp_path / "foreign" / LAST).glob("ckpt-8*"):
        shutil.copyfile(file, saved / LAST / file.name)
    checkpoints = StageCheckpoints(saved, method)
    checkpoints.restore(LAST)
    assert checkpoints.step == 7 and (method.encoder.conv.kernel.numpy() == 7).all()
    assert "going back to ckpt-7" in capsys.readouterr().out


def test_no_whole_checkpoint_is_an_error_that_names_the_newest(saved, method):
    for step in (6, 7):
        _flip(_file(saved, step, "data"))
    with pytest.raises(RunError, match=r"last/ckpt-7: expected a whole .* another SHA-256"):
        StageCheckpoints(saved, method).restore(LAST)


def test_older_state_does_not_pass_for_the_finished_one(saved, method):
    _flip(_file(saved, 7, "data"))
    with pytest.raises(RunError, match=r"ckpt-7: .*ckpt-6 is whole: the stage, run again, con"):
        restore_parts(saved, LAST, encoder=method.encoder)
    assert (method.encoder.conv.kernel.numpy() == 0).all()


def test_refused_checkpoint_is_gone_after_the_next_save(saved, method):
    _flip(_file(saved, 7, "data"))
    checkpoints = StageCheckpoints(saved, method)
    checkpoints.restore(LAST)
    _set(method, 8)
    checkpoints.save(LAST)
    assert [path.name for path in list_prefixes(saved / LAST)] == ["ckpt-8", "ckpt-6"]
    assert all(find_fault(path) is None for path in list_prefixes(saved / LAST))


def test_what_a_kill_left_half_written_is_no_checkpoint_and_goes(saved, method):
    (saved / LAST / "ckpt-9_temp").mkdir()
    (saved / LAST / "ckpt-9_temp" / "part-00000-of-00001.data").write_bytes(b"half")
    shutil.copyfile(_file(saved, 7, "data"), saved / LAST / "ckpt-9.data-00000-of-00001")
    shutil.copyfile(_file(saved, 7, "index"), saved / LAST / "ckpt-9.index")
    checkpoints = StageCheckpoints(saved, method)
    checkpoints.restore(LAST)
    assert checkpoints.step == 7
    _set(method, 9)
    checkpoints.save(LAST)
    names = {file.name.partition(".")[0] for file in (saved / LAST).iterdir()}
    assert names == {"checkpoint", "ckpt-7", "ckpt-9"}
    assert find_fault(saved / LAST / "ckpt-9") is None


def test_checkpoints_without_checksums_are_refused_not_passed_over(saved, method):
    for step in (6, 7):
        _file(saved, step, "sha256").unlink()
    checkpoints = StageCheckpoints(saved, method)
    assert checkpoints.has(LAST) and not checkpoints.has(BEST)
    with pytest.raises(RunError, match=r"last/ckpt-7: expected a whole .* ckpt-7.sha256 unread"):
        checkpoints.restore(LAST)
