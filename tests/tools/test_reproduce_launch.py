"""How the programs of steps are called: logs, statuses, workers that live on."""

import os
import re
import sys
import threading
import time

import pytest

from ascl_tf.process.locks import Lock
from tools.reproduction.launch import Launcher, WorkerLauncher, shared_cores, shown
from tools.reproduction.store import last_lines

PROGRAM = "tests.tools.fake_worker_program"


@pytest.fixture
def workers():
    launcher = WorkerLauncher()
    yield launcher
    launcher.close()


def _run(launcher, folder, what, name="log.txt"):
    """Returns the exit status and the log."""
    status = _call(launcher, PROGRAM, what, folder=folder, log=folder / name)
    return status, (folder / name).read_text()


def _call(launcher, program, *arguments, **places):
    lock = Lock(places["folder"] / "lock")
    assert lock.acquire()
    try:
        return launcher.run(program, arguments, kept_open=lock.fileno(), **places)
    finally:
        lock.release()


def _process(text):
    return int(re.findall(r"process (\d+)", text)[-1])


def test_worker_serves_one_step_after_another(workers, tmp_path):
    status, first = _run(workers, tmp_path, "work", "a.txt")
    assert status == 0 and "to standard error" in first
    status, second = _run(workers, tmp_path, "work", "b.txt")
    assert status == 0 and _process(second) == _process(first)
    assert first.count("process") == second.count("process") == 1


def test_mistake_is_one_line_and_a_fault_has_a_traceback(workers, tmp_path):
    status, text = _run(workers, tmp_path, "fail", "a.txt")
    assert status == 1 and text.endswith("error: expected luck; found none\n")
    assert "Traceback" not in text
    status, text = _run(workers, tmp_path, "break", "b.txt")
    assert status == 1 and "Traceback" in text and "a fault of the program" in text


def test_dead_worker_fails_its_step_and_is_replaced(workers, tmp_path):
    status, text = _run(workers, tmp_path, "die")
    assert status == 7
    status, again = _run(workers, tmp_path, "work")
    assert status == 0 and _process(again) != _process(text)


def test_unknown_program_fails_its_step(workers, tmp_path):
    status = _call(workers, "tests.nowhere", folder=tmp_path, log=tmp_path / "log")
    assert status == 1 and "No module named 'tests.nowhere'" in (tmp_path / "log").read_text()


@pytest.fixture
def slow(tmp_path):
    """A program of a minute that says when it has begun, and where `launcher.run` shall call it."""
    (tmp_path / "slow_program.py").write_text(
        "import pathlib, time\n\ndef main(argv):\n    pathlib.Path('begun').touch()\n"
        "    time.sleep(60)\n\nif __name__ == '__main__':\n    main([])\n"
    )
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    settings = {"folder": tmp_path, "log": tmp_path / "log", "kept_open": os.dup(lock.fileno())}
    return "slow_program", settings


@pytest.mark.parametrize("kind", [Launcher, WorkerLauncher])
def test_stopping_ends_what_runs_and_lets_nothing_begin(kind, slow, tmp_path):
    launcher, (program, settings), statuses = kind(), slow, []
    thread = threading.Thread(target=lambda: statuses.append(launcher.run(program, [], **settings)))
    thread.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    os.close(settings["kept_open"])  # The program alone holds the lock now.
    other = Lock(tmp_path / "lock")
    assert not other.acquire()
    launcher.stop()
    thread.join(timeout=20)
    assert not thread.is_alive() and statuses[0] != 0
    assert other.acquire()
    with pytest.raises(InterruptedError):
        launcher.run(program, [], **settings | {"kept_open": other.fileno()})
    other.release()


def test_process_adds_to_its_log(tmp_path):
    launcher = Launcher(prefix=[sys.executable, "-c", "import sys; print(sys.argv[1:])"])
    for _ in range(2):
        status = _call(launcher, "program", "--a=1", folder=tmp_path, log=tmp_path / "log")
        assert status == 0
    assert (tmp_path / "log").read_text() == "['program', '--a=1']\n" * 2


@pytest.mark.parametrize(("jobs", "threads"), [(1, "None None"), (2, "2 2"), (8, "1 1")])
def test_programs_that_run_at_once_share_the_cores(tmp_path, monkeypatch, jobs, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(4))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    found = "*(os.environ.get(f'TF_NUM_{kind}_THREADS') for kind in ('INTRAOP', 'INTEROP'))"
    prefix = [sys.executable, "-c", f"import os; print({found})"]
    launcher = Launcher(prefix=prefix, environment=shared_cores(jobs))
    assert _call(launcher, "program", folder=tmp_path, log=tmp_path / "log") == 0
    assert (tmp_path / "log").read_text() == f"{threads}\n"


def test_last_lines_leave_out_empty_ones_and_survive_a_missing_log(tmp_path):
    (tmp_path / "log").write_text("one\n\ntwo\n \nthree\n")
    assert last_lines(tmp_path / "log", 2) == ["two", "three"]
    assert last_lines(tmp_path / "none") == []


def test_command_is_shown_as_it_can_be_typed():
    assert shown("ascl_tf.train", ["--a=b c"]) == "python -m ascl_tf.train '--a=b c'"
