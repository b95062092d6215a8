"""Long passes say how far they are; short ones nothing."""

import pytest

from ascl_tf.process import progress


@pytest.fixture
def clock(monkeypatch):
    """A list whose only number is the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def _pass(clock, seconds, steps=10):
    bar = progress.Progress("reading", 50)
    for _ in range(steps):
        clock[0] += seconds / 10
        bar.advance(5)
    bar.close()


def test_short_pass_is_silent(clock, capsys):
    _pass(clock, 1.9)
    assert capsys.readouterr().out == ""


def test_log_gets_a_line_every_half_minute(clock, capsys):
    _pass(clock, 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["reading: 10 %, 1 min 30 s left", "reading: 40 %, 1 min 0 s left"]
    assert len(lines) == 3


def test_line_on_a_terminal_ends_with_the_pass(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    _pass(clock, 40)
    shown = capsys.readouterr().out
    assert shown.endswith("90 %, 4 s left\x1b[K\n") and shown.count("\n") == 1


def test_terminal_has_one_line_that_is_renewed(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    _pass(clock, 40000, steps=2)
    shown = capsys.readouterr().out
    assert shown == (
        "\rreading: 10 %, 10 h 0 min left\x1b[K\rreading: 20 %, 8 h 53 min left\x1b[K\n"
    )
