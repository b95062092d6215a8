"""The comparison at few labels: equal compute, no label beyond the share, the figure."""

import pytest

from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_finetune_method
from tools.reproduction import few_labels, shares_figure
from tools.reproduction.artifacts import ARTIFACTS, make_plan
from tools.reproduction.graph import Graph
from tools.reproduction.presets import CPU

GRAPH = Graph(CPU)
ROWS = {extra.folder: GRAPH.row(extra.folder) for extra in few_labels.ROWS}
TENTH = [folder for folder in ROWS if folder.endswith("_10")]


def _finetuning(row):
    """Forward passes per image of the dearest fine-tuning of a row."""
    epochs = {
        h.name: [CPU.apply(p, row.folder).num_finetune_epochs for p in h.parts] for h in row.heads
    }
    return max(sum(epochs[head.name]) * head.units for head in row.heads)


def test_every_method_costs_the_same_within_five_percent():
    for folder, row in ROWS.items():
        name, share = few_labels.share_of(folder)
        if name == "teacher":
            continue
        passes = GRAPH.pretrain_config(row).epochs * row.units + _finetuning(row)
        if row.config.pseudo_label_classifier:
            teacher = ROWS[few_labels.folder_of("teacher", share)]
            passes += GRAPH.pretrain_config(teacher).epochs * teacher.units
        assert abs(passes / few_labels.PASSES - 1) < 0.05, folder


@pytest.mark.slow  # test_row_costs.py has rows of their methods.
@pytest.mark.parametrize("folder", [*TENTH, "few_labels/ascl_100"])
def test_rows_cost_what_their_steps_pass(folder):
    row = ROWS[folder]
    assert count_step(GRAPH.pretrain_config(row)) == row.units
    for head in row.heads:
        for part in head.parts:
            config = CPU.apply(part, folder)
            assert count_step(config, make=make_finetune_method) == head.units


def test_no_run_sees_a_label_beyond_its_share():
    for folder, row in ROWS.items():
        _, share = few_labels.share_of(folder)
        for config in (row.config, *(part for head in row.heads for part in head.parts)):
            assert (config.labeled_fraction, config.validation_fraction) == (share, 0.0), folder


def test_pseudo_labels_are_those_of_the_teacher_of_the_same_share_and_seed():
    plan = make_plan(ARTIFACTS["few_labels"], GRAPH, (0,))
    taught = [m for m in plan.measured if "at_pseudo_1" == m.row.partition("/")[2]]
    assert {measured.seed for measured in taught} == {0, 1, 2}
    for measured in taught:
        (training,) = [n for n in measured.node.before if "at_pseudo_1" in n.title]
        (teacher,) = training.before
        assert teacher.title == training.title.replace("at_pseudo", "teacher")
        # The evaluation knows which images were trained on.
        assert teacher in measured.node.before


def _record(row, seed, accuracy, head=""):
    record = {"row": row, "head": head, "seed": seed, "checkpoint": "last", "protocol": "pgd20"}
    return {**record, "robust_accuracy": accuracy, "standard_accuracy": 2 * accuracy}


def test_figure_has_means_over_seeds_by_share(tmp_path):
    records = [_record("few_labels/at_1", seed, 10.0 + seed) for seed in (0, 1)]
    records += [{**record, "protocol": "standard"} for record in records]
    records += [
        _record("few_labels/at_100", 0, 30.0),
        _record("few_labels/dynacl_10", 0, 5.0, "lsf"),
    ]
    found = shares_figure.curves({"records": records}, "pgd20")
    assert [(share, value.mean) for share, value in found["AT on labeled images"]] == [
        (0.01, 10.5),
        (1.0, 30.0),
    ]
    assert found["AT on labeled images"][0][1].spread == pytest.approx(0.5**0.5)
    assert list(found) == ["AT on labeled images", "DynACL (lsf)"]
    shares_figure.write_shares({"records": records}, tmp_path / "shares")
    assert {path.name for path in tmp_path.iterdir()} == {"shares.png", "shares.svg"}
