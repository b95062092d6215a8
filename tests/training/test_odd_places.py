"""Runs work where paths are long and foreign, without a home, and on a narrow terminal."""

import pytest

from ascl_tf.errors import ConfigError
from ascl_tf.training import run
from ascl_tf.training.workdir import WorkDirectory


def test_all_stages_in_a_long_path_without_a_home_on_forty_columns(
    tiny_world, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path
    for name in ("mit Leerzeichen", "größe", "モデル", "a'b\"c", *(200 * c for c in "xyzuvw")):
        folder /= name
    config = tiny_world.replace(method="standard", epochs=1, protocol="standard")
    run.run_stages(config, "all", WorkDirectory(folder))
    assert (folder / "results" / "evaluate_pretrain.json").is_file()
    assert (folder / "export" / "pretrain" / "saved_model.pb").is_file()
    assert str(folder / "results") in capsys.readouterr().out
    # What was left is found again.
    run.run_stages(config, "pretrain", WorkDirectory(folder))
    assert "continuing after step 4" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?", "back\\slash"])
def test_path_that_tensorflow_would_take_for_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(
        ConfigError, match=r"--workdir=.*: expected a path without \* \? \[ \] "
    ) as e:
        WorkDirectory(tmp_path / name / "run")
    assert len(str(e.value).splitlines()) == 1 and list(tmp_path.iterdir()) == []
