"""What an image costs by its size: one process each, the record, a step that trains."""

import json
import pathlib

import pytest

from tests.common import eagerly
from tools.benchmarks import _size_child, image_sizes


def _measured(command, cwd):
    assert command[2] == "tools.benchmarks._size_child"
    file, settings, size, batch_size, repeats = command[3:]
    assert (batch_size, repeats) == ("4", "3") and json.loads(settings)["width"] == 2
    pathlib.Path(file).write_text(json.dumps([int(size), 1.0, 240.0]))
    return {"exit_status": 0, "peak_memory_bytes": 2**30}


def test_record_has_a_row_for_each_network_and_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_sizes, "run_measured", _measured)
    argv = ["--sizes=24,48", "--width=2", "--batch_size=4", f"--output={tmp_path}"]
    image_sizes.main([*argv, "--networks=resnet18,resnet50"])
    rows = json.loads((tmp_path / "benchmark_image_sizes.json").read_text())["rows"]
    assert [(row["network"], row["size"]) for row in rows] == [
        ("resnet18", 24),
        ("resnet18", 48),
        ("resnet50", 24),
        ("resnet50", 48),
    ]
    # The median, 24 s, over six passes of four images.
    assert rows[0]["seconds_per_pass"] == 1.0 and "1.00 GiB" in capsys.readouterr().out


def test_failed_process_is_one_line(monkeypatch):
    monkeypatch.setattr(image_sizes, "run_measured", lambda *_, **__: {"exit_status": 3})
    with pytest.raises(SystemExit, match="resnet18 at 32 pixels: expected exit status 0; found 3"):
        image_sizes.main(["--networks=resnet18"])


@pytest.mark.parametrize("flag", ["--sizes=big", "--networks=alexnet"])
def test_wrong_list_is_named(flag, capsys):
    with pytest.raises(SystemExit, match="2"):
        image_sizes.main([flag])
    assert f"{flag.partition('=')[0]}: expected" in capsys.readouterr().err


def test_step_is_one_of_training():
    with eagerly():
        step = _size_child.make_step({"width": 1, "num_steps_at": 1}, 72, 2)
        assert float(step()["gradient_norm"]) > 0
