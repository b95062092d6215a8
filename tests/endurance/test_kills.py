"""What is killed loses nothing: runs in every phase, and reproductions."""

import json
import random
import subprocess
import sys

import pytest

from tests.endurance.reproduction_kills import ROOT, ReproductionKills


def _kill_runs(folder, *arguments):
    """Returns what was found, as the program of run_kills.py prints it."""
    command = [sys.executable, "-m", "tests.endurance.run_kills", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow  # test_resume.py stops a run in its own process.
def test_kill_of_a_run_changes_nothing(tmp_path):
    # There is no terminal, and the path has spaces and letters beyond ASCII.
    folder = tmp_path / "läufe von heute"
    folder.mkdir()
    found = _kill_runs(folder, "--kills=1", "--method=standard", "--phases=checkpoint")
    assert sum(found["kills"].values()) == 1
    assert (found["num_runs"], found["faults"]) == (1, [])
    log = (folder / "run_1.log").read_text()
    assert log.count("left its run.lock behind; taking over") == 1


@pytest.mark.slow
def test_kills_in_every_phase_change_nothing(tmp_path):
    found = _kill_runs(tmp_path, "--kills=28", "--method=ascl")
    assert sum(found["kills"].values()) == 28
    assert found["faults"] == []


@pytest.mark.slow  # `make chaos` runs it.
def test_killed_reproduction_of_fake_steps_ends_as_the_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    fake = str(ROOT / "tests" / "tools" / "fake_reproduction.py")
    command = (sys.executable, fake, "--preset=cpu", "--artifact=table8")
    kills = ReproductionKills(tmp_path, random.Random(0), command)
    kills.kill(2)
    assert kills.kills.total() == 2 and kills.faults == []
    table8 = tmp_path / "undisturbed_reproduction" / "results" / "cpu" / "table8"
    found = (table8 / "records.json").read_text()
    assert len(json.loads(found)["records"]) > 10


@pytest.mark.slow
def test_killed_reproduction_ends_as_the_undisturbed_one(tmp_path):
    kills = ReproductionKills(tmp_path, random.Random(0))
    kills.kill(6)
    assert kills.kills.total() == 6 and kills.faults == []
