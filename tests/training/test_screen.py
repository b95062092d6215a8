"""What training shows: a line for each epoch, and a bar on a terminal."""

import io
import sys
from types import SimpleNamespace

import pytest

from ascl_tf.training.screen import TrainingScreen


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _rows(epoch):
    row = {"train/loss": 1.25, "train/standard_accuracy": 50.0, "train/robust_accuracy": 30.125}
    validation = {"val/standard_accuracy": 48.0, "val/robust_accuracy": 20.0}
    return row | (validation if epoch == 2 else {})


def _train():
    """Three epochs of two steps, the second one validated."""
    history = SimpleNamespace(epochs=[], best_robust_accuracy=20.0, best_epoch=2)
    checkpoints = SimpleNamespace(step=0, history=history)
    screen = TrainingScreen("pretrain", checkpoints, epochs=3, steps_per_epoch=2)
    screen.on_train_begin()
    for epoch in range(3):
        for batch in range(2):
            screen.on_train_batch_begin(batch)
            checkpoints.step += 1
            screen.on_train_batch_end(batch)
        history.epochs.append(_rows(epoch + 1))
        screen.on_epoch_end(epoch)
    screen.close()


LINES = [
    "pretrain 1/3; loss 1.2500, SA 50.00, RA 30.12; less than 1 s left",
    "pretrain 2/3; loss 1.2500, SA 50.00, RA 30.12; validation SA 48.00, RA 20.00 "
    "(best RA 20.00, epoch 2); less than 1 s left",
    "pretrain 3/3; loss 1.2500, SA 50.00, RA 30.12",
]


def test_log_has_one_line_for_each_epoch(capsys):
    _train()
    assert capsys.readouterr().out.splitlines() == LINES


@pytest.mark.parametrize("columns", ["40", "160"])
def test_terminal_has_a_bar_below_the_same_lines(monkeypatch, columns):
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in (("COLUMNS", columns), ("TERM", "xterm"), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, value)
    _train()
    shown = terminal.getvalue()
    assert "building the step" in shown and "6/6" in shown
    if columns == "160":
        assert all(line in shown for line in LINES)
