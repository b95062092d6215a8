"""tools/reproduce.py --preset=smoke with the real programs: one table and one figure."""

import pathlib
import subprocess
import sys

import pytest

from ascl_tf.evaluation.records import read_records

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _reproduce(folder, *arguments):
    command = [sys.executable, str(ROOT / "tools" / "reproduce.py"), "--preset=smoke"]
    return subprocess.run(
        [*command, f"--runs={folder}", *arguments], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_table_and_figure_are_made_and_made_once(tmp_path):
    first = _reproduce(tmp_path, "--artifact=table7,figure5", "--jobs=2")
    assert first.returncode == 0, first.stdout + first.stderr
    folder = tmp_path / "results" / "smoke"
    for record in read_records(folder / "table7" / "records.json"):
        assert record["num_images"] == 20 and record["row"].startswith("table7/")
    assert "--" not in (folder / "table7" / "table.csv").read_text()
    assert (folder / "figure5" / "weight_landscape.png").stat().st_size > 10_000
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("smoke/*/done.json")}
    second = _reproduce(tmp_path, "--artifact=table7,figure5")
    assert second.returncode == 0 and "done in" not in second.stdout
    assert done == {path: path.stat().st_mtime_ns for path in done}
