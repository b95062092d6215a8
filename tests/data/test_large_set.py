"""A set of 6 GB is decoded and gone through in less than 2 GiB beside the network's memory."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.data.large_set import NETWORK, TRAINING

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUM_IMAGES, SIZE = 10_000, 448
NUM_BYTES = NUM_IMAGES * SIZE * SIZE * 3


def _write_picture(folder, number):
    rng = np.random.default_rng(number)
    colors = Image.fromarray(rng.integers(0, 256, [7, 7, 3], np.uint8))
    path = folder / "train" / f"class{number % 4}" / f"{number}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    colors.resize((SIZE, SIZE), Image.Resampling.NEAREST).save(path)


@pytest.mark.slow
def test_memory_of_a_run_does_not_grow_with_its_images(tmp_path):
    if shutil.disk_usage(tmp_path).free < 2 * NUM_BYTES:
        pytest.skip("needs 12 GB of disk")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda number: _write_picture(tmp_path / "set", number), range(NUM_IMAGES)))
    command = [sys.executable, "-m", "tests.data.large_set", tmp_path / "set", tmp_path / "cache"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (images,) = (tmp_path / "cache").glob("*/images.npy")
        assert images.stat().st_size > NUM_BYTES
    finally:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    peaks = json.loads(done.stdout.splitlines()[-1])
    print(peaks)
    network = peaks.pop(NETWORK)
    assert peaks.pop(TRAINING) < network + 2**31
    assert max(peaks.values()) < 2**31
