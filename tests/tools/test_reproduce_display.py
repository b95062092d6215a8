"""What tools/reproduce.py shows while it runs."""

import io

import pytest
from rich.console import Console

from tools.reproduction.artifacts import ARTIFACTS, make_plan
from tools.reproduction.display import LiveDisplay, duration
from tools.reproduction.graph import Graph
from tools.reproduction.nodes import in_order
from tools.reproduction.presets import CPU
from tools.reproduction.scheduler import State
from tools.reproduction.store import Store


def test_live_table_fits_forty_columns(tmp_path):
    plan = make_plan(ARTIFACTS["table5"], Graph(CPU), (0,))
    nodes = in_order(plan.nodes())
    owners = {node.key: "table5" for node in nodes}
    console = Console(width=40, record=True, file=io.StringIO(), force_terminal=False)
    display = LiveDisplay(nodes, owners, Store(tmp_path), console=console)
    display.began(nodes[0])
    display.ended(nodes[0], State.DONE, 30.0, [])
    display.began(nodes[1])
    display.ended(nodes[1], State.FAILED, None, ["error: no"])
    display.began(nodes[5])
    console.print(display.render())
    text = console.export_text()
    assert all(len(line) <= 40 for line in text.splitlines())
    joined = " ".join(text.split())
    assert f"1 of {len(nodes)} steps done, 1 failed or skipped" in joined and "error: no" in joined
    assert "running" in joined


def test_time_left_follows_finished_steps_of_the_kind(tmp_path):
    nodes = in_order(make_plan(ARTIFACTS["table5"], Graph(CPU), (0,)).nodes())
    owners = {node.key: "table5" for node in nodes}
    display = LiveDisplay(nodes, owners, Store(tmp_path), console=Console(file=io.StringIO()))
    first, second = [node for node in nodes if node.kind == "finetune"][:2]
    assert display.left(second) == pytest.approx(second.seconds)
    display.began(first)
    display.ended(first, State.DONE, first.seconds * 3, [])
    assert display.left(first) == 0
    assert display.left(second) == pytest.approx(second.seconds * 3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (600, "10 min"), (22000, "6.1 h"), (864000, "10 d")]
)
def test_durations_are_written_for_readers(seconds, text):
    assert duration(seconds) == text
