"""tools/reproduce.py with fake_steps.py in place of the programs of its steps."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import reproduce  # noqa: E402
from tools.reproduction.launch import Launcher  # noqa: E402

if __name__ == "__main__":
    fake = str(ROOT / "tests" / "tools" / "fake_steps.py")
    reproduce.main(sys.argv, Launcher(prefix=[sys.executable, fake]))
