"""How the programs of steps are called: logs, statuses, workers that live on."""

import re
import sys
import threading
import time

import pytest

from tools.reproduction.launch import Launcher, WorkerLauncher, shown
from tools.reproduction.store import last_lines

PROGRAM = "tests.tools.fake_worker_program"


@pytest.fixture
def workers():
    launcher = WorkerLauncher()
    yield launcher
    launcher.close()


def _run(launcher, folder, what, name="log.txt"):
    """Returns the exit status, the log, and the process ids that were told."""
    told, log = [], folder / name
    status = launcher.run(PROGRAM, [what], folder=folder, log=log, began=told.append)
    return status, log.read_text(), told


def _process(text):
    return int(re.findall(r"process (\d+)", text)[-1])


def test_worker_serves_one_step_after_another(workers, tmp_path):
    status, first, told = _run(workers, tmp_path, "work", "a.txt")
    assert status == 0 and told == [_process(first)]
    assert "to standard error" in first
    status, second, _ = _run(workers, tmp_path, "work", "b.txt")
    assert status == 0 and _process(second) == _process(first)
    assert first.count("process") == second.count("process") == 1


def test_mistake_is_one_line_and_a_fault_has_a_traceback(workers, tmp_path):
    status, text, _ = _run(workers, tmp_path, "fail", "a.txt")
    assert status == 1 and text.endswith("error: expected luck; found none\n")
    assert "Traceback" not in text
    status, text, _ = _run(workers, tmp_path, "break", "b.txt")
    assert status == 1 and "Traceback" in text and "a fault of the program" in text


def test_dead_worker_fails_its_step_and_is_replaced(workers, tmp_path):
    status, text, _ = _run(workers, tmp_path, "die")
    assert status == 7
    status, again, _ = _run(workers, tmp_path, "work")
    assert status == 0 and _process(again) != _process(text)


def test_unknown_program_fails_its_step(workers, tmp_path):
    status = workers.run(
        "tests.nowhere", [], folder=tmp_path, log=tmp_path / "log", began=lambda pid: None
    )
    assert status == 1 and "No module named 'tests.nowhere'" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("kind", [Launcher, WorkerLauncher])
def test_stopping_ends_what_runs_and_lets_nothing_begin(kind, tmp_path):
    (tmp_path / "slow_program.py").write_text(
        "import time\n\ndef main(argv):\n    time.sleep(60)\n\n"
        "if __name__ == '__main__':\n    main([])\n"
    )
    launcher, told, statuses = kind(), [], []
    settings = {"folder": tmp_path, "log": tmp_path / "log", "began": told.append}
    thread = threading.Thread(
        target=lambda: statuses.append(launcher.run("slow_program", [], **settings))
    )
    thread.start()
    while not told:
        time.sleep(0.01)
    launcher.stop()
    thread.join(timeout=20)
    assert not thread.is_alive() and statuses[0] != 0
    with pytest.raises(InterruptedError):
        launcher.run("slow_program", [], **settings)


def test_process_adds_to_its_log(tmp_path):
    launcher = Launcher(prefix=[sys.executable, "-c", "import sys; print(sys.argv[1:])"])
    for _ in range(2):
        status = launcher.run(
            "program", ["--a=1"], folder=tmp_path, log=tmp_path / "log", began=lambda pid: None
        )
        assert status == 0
    assert (tmp_path / "log").read_text() == "['program', '--a=1']\n" * 2


def test_last_lines_leave_out_empty_ones_and_survive_a_missing_log(tmp_path):
    (tmp_path / "log").write_text("one\n\ntwo\n \nthree\n")
    assert last_lines(tmp_path / "log", 2) == ["two", "three"]
    assert last_lines(tmp_path / "none") == []


def test_command_is_shown_as_it_can_be_typed():
    assert shown("ascl_tf.train", ["--a=b c"]) == "python -m ascl_tf.train '--a=b c'"
