"""Folders and locks of the steps of a reproduction."""

import pytest

from tools.reproduction.nodes import Node, Place
from tools.reproduction.store import Store


def _node(**changes):
    fields = {
        "kind": "pretrain",
        "title": "a step",
        "program": "program",
        "settings": {"epochs": 1},
        "arguments": ("--epochs=1", ("--workdir=", Place(None))),
        "outputs": ("results.json",),
    }
    return Node(**(fields | changes))


def test_key_depends_on_settings_arguments_and_what_is_before_but_not_on_the_title():
    node = _node()
    assert _node(title="another name", seconds=3.0).key == node.key
    others = [
        _node(kind="finetune"),
        _node(program="another"),
        _node(settings={"epochs": 2}),
        _node(arguments=("--epochs=2",)),
        _node(arguments=(("--pretrained=", Place(node)),)),
        _node(arguments=(("--pretrained=", Place(_node(settings={"epochs": 2}))),)),
        _node(links={"checkpoints": Place(node, "checkpoints")}),
    ]
    assert len({other.key for other in [node, *others]}) == len(others) + 1


def test_finished_step_is_found_by_its_key_and_outputs(tmp_path):
    store, node = Store(tmp_path), _node()
    store.prepare(node)
    (store.folder(node) / "results.json").write_text("{}")
    store.mark_done(node, 2.5)
    assert store.is_done(node) and store.seconds(node) == 2.5
    assert not store.is_done(_node(settings={"epochs": 2}))
    (store.folder(node) / "done.json").write_text('{"key": ')
    assert not store.is_done(node)


def test_links_are_relative(tmp_path):
    store, first = Store(tmp_path / "runs"), _node()
    second = _node(kind="evaluate", links={"checkpoints": Place(first, "checkpoints")})
    store.prepare(first)
    (store.folder(first) / "checkpoints").mkdir()
    (store.folder(first) / "checkpoints" / "weights").write_text("w")
    store.prepare(second)
    store.prepare(second)
    (tmp_path / "runs").rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved").folder(second)
    assert (moved / "checkpoints" / "weights").read_text() == "w"


def test_step_without_its_output_is_not_done(tmp_path):
    store, node = Store(tmp_path), _node()
    store.prepare(node)
    with pytest.raises(FileNotFoundError, match="expected results.json"):
        store.mark_done(node, 1.0)
    assert not store.is_done(node)


def test_step_is_one_processs_at_a_time(tmp_path):
    store, node = Store(tmp_path / "runs"), _node()
    lock = store.lock(node)
    assert store.lock(node) is None
    lock.release()
    assert not list(store.path.iterdir())
    store.lock(node).release()


def test_what_a_kill_leaves_in_writing_a_file_goes(tmp_path):
    store, node = Store(tmp_path), _node()
    half_written = store.folder(node) / ".done.json.77.tmp"
    store.folder(node).mkdir()
    half_written.write_text("half")
    store.prepare(node)
    assert not half_written.exists()
