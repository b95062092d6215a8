"""Goes through a large folder of pictures in every way that a run does; prints what it held.

    python -m tests.data.large_set <folder> <cache folder>

One line of JSON: by phase, the largest RssAnon since the one before, in bytes.
"""

import dataclasses
import json
import pathlib
import re
import sys
import threading

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.data.pipeline import evaluation_batches, training_batches
from ascl_tf.evaluation.checks import explain_overlap
from ascl_tf.training import run, run_data
from ascl_tf.training.workdir import WorkDirectory
from tests.training.worlds import make_tiny_world

BATCH_SIZE, NUM_TRAINED = 64, 32
# Training on so many images in memory, and on as many of the file.
NETWORK, TRAINING = "training in memory", "training"


class Watch(threading.Thread):
    """Notes the largest anonymous memory of this process, twenty times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peaks, self._peak, self._ended = {}, 0, threading.Event()

    def run(self):
        while not self._ended.wait(0.05):
            self._peak = max(self._peak, _anonymous_bytes())

    def end_phase(self, name):
        """Notes the peak so far under `name`."""
        self.peaks[name], self._peak = max(self._peak, _anonymous_bytes()), 0


def _anonymous_bytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])


def _measure(folder, cache, monkeypatch):
    load = datasets.load_dataset
    config = make_tiny_world(monkeypatch).replace(
        dataset=f"folder:{folder}", memory_limit="100MB", cache_dir=cache, method="standard"
    )
    monkeypatch.setattr(datasets, "load_dataset", load)
    watch = Watch()
    watch.start()
    watch.end_phase("start")
    train, validation = run.load_training_data(config)
    watch.end_phase("decoding and cutting")
    assert len(train.sha256) == 64
    watch.end_phase("hash")
    for _ in training_batches(train, global_batch_size=BATCH_SIZE, seed=0).take(
        len(train) // BATCH_SIZE
    ):
        pass
    watch.end_phase("an epoch")
    for _ in evaluation_batches(run_data.with_unlabeled_images(config.data, train), BATCH_SIZE):
        pass
    watch.end_phase("a pass for evaluation")
    assert explain_overlap(validation, train) == ""
    watch.end_phase("search for test images")
    few = config.replace(num_train_images=NUM_TRAINED, epochs=1, global_batch_size=8)
    with monkeypatch.context() as patched:
        in_memory = train.take(range(NUM_TRAINED))
        in_memory = dataclasses.replace(in_memory, images=np.asarray(in_memory.images))
        patched.setattr(datasets, "load_dataset", lambda *_, **__: in_memory)
        run.run_stages(few, cfg.PRETRAIN, WorkDirectory(pathlib.Path(cache) / "few"))
    watch.end_phase(NETWORK)
    run.run_stages(few, cfg.PRETRAIN, WorkDirectory(pathlib.Path(cache) / "run"))
    watch.end_phase(TRAINING)
    return watch.peaks


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as monkeypatch:
        print(json.dumps(_measure(*sys.argv[1:], monkeypatch)))
