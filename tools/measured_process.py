"""Runs a command and says what it took: exit status, wall time, peak memory.

    python tools/measured_process.py <file for the answer> <command> ...

A process counts what its parent held when it was started towards its own peak, so a small
interpreter stands between the command and a parent that may have loaded TensorFlow.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def run_measured(command, *, cwd=None):
    """Returns a dict of `exit_status`, `wall_seconds` and `peak_memory_bytes` of `command`."""
    with tempfile.TemporaryDirectory() as folder:
        answer = pathlib.Path(folder) / "usage.json"
        program = str(pathlib.Path(__file__).resolve())
        subprocess.run([sys.executable, program, str(answer), *command], cwd=cwd, check=True)
        return json.loads(answer.read_text(encoding="utf-8"))


def main(argv):
    answer, *command = argv[1:]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    document = {
        "exit_status": process.returncode,
        "wall_seconds": time.perf_counter() - began,
        "peak_memory_bytes": usage.ru_maxrss * BYTES_PER_UNIT,
    }
    pathlib.Path(answer).write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv)
