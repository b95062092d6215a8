"""The very text of docs/own_training_loop.md trains."""

import pathlib
import re
import runpy

import numpy as np
import pytest
import tensorflow as tf

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "own_training_loop.md"


@pytest.mark.slow  # Tests of its parts are in the default run.
def test_loop_of_the_document_trains_and_moves_both_branches(tmp_path):
    text = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "loop.py").write_text(text)
    names = runpy.run_path(str(tmp_path / "loop.py"))
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(size=(8, 32, 32, 3)), tf.float32)
    labels = tf.constant([0, 1, 0, 1, 2, 2, 0, -1])
    before = [variable.numpy() for variable in names["encoder"].variables]
    losses = [float(names["step"](images, labels, tf.constant(n))) for n in range(3)]
    assert np.isfinite(losses).all() and losses[0] > 0
    moved = {
        variable.path
        for variable, old in zip(names["encoder"].variables, before, strict=True)
        if not np.array_equal(variable.numpy(), old)
    }
    for branch in ("clean", "adversarial"):
        of_branch = {path.rpartition("/")[2] for path in moved if f"/{branch}/" in path}
        assert of_branch >= {"moving_mean", "moving_variance", "gamma", "beta"}, moved
