"""tools/reproduce.py with fake_steps.py in place of its programs, which need no data."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import reproduce  # noqa: E402
from tools.reproduction import data_sets  # noqa: E402
from tools.reproduction.launch import Launcher  # noqa: E402

if __name__ == "__main__":
    data_sets.find_absent = lambda nodes, data_dir: []
    fake = str(ROOT / "tests" / "tools" / "fake_steps.py")
    reproduce.main(sys.argv, Launcher(prefix=[sys.executable, fake]))
