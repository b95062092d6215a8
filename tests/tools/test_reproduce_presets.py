"""The presets of tools/reproduce.py, and that programs understand the steps made of them."""

import functools

import pytest
from absl import flags

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.program import flag_defs
from tools import rows
from tools.reproduction.artifacts import ARTIFACTS, folders_of, make_plan
from tools.reproduction.graph import ANALYZE, EVALUATE, TRAIN, Graph
from tools.reproduction.nodes import command_line, in_order
from tools.reproduction.presets import CPU, PAPER, PRESETS, SMOKE

NAMES_OF_RUNS = {"pretrained", "pseudo_label_encoder", "initial_encoder"}


@functools.cache
def _all_nodes(name):
    graph = Graph(PRESETS[name])
    plans = [make_plan(artifact, graph, (1,)) for artifact in ARTIFACTS.values()]
    return in_order([node for plan in plans for node in plan.nodes()])


def _nodes(preset, program):
    return [node for node in _all_nodes(preset) if node.program == program]


def _arguments(node):
    return command_line(node, lambda place: place.node.name if place.node else "here")


@functools.cache
def _flags(program, *sections):
    values = flag_defs.define_flags(*sections)
    if program == TRAIN:
        flags.DEFINE_enum("stage", cfg.PRETRAIN, [*cfg.STAGES, cfg.ALL], "", flag_values=values)
    return values


def _parsed(node, *sections):
    """Returns what a step's arguments set."""
    values = _flags(node.program, *sections)
    values.unparse_flags()  # Forgets the step before.
    return flag_defs.parse(values, [node.program, *_arguments(node)])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_artifact_is_made_of_steps(preset):
    nodes = _all_nodes(preset)
    assert len({node.name for node in nodes}) == len(nodes) > 100
    for node in nodes:
        assert node.seconds > 0 and node.outputs


@pytest.mark.parametrize("preset", PRESETS)
def test_training_reads_from_the_arguments_what_the_key_was_made_of(preset):
    for node in _nodes(preset, TRAIN):
        explicit = _parsed(node, *cfg.sections())
        assert explicit.pop("stage") == node.kind
        config = train.config_from(cfg.Config(), explicit)
        found = config.to_json()
        assert config.workdir == "here"
        settings = cfg.settings_in(node.settings)
        assert {name: found[name] for name in settings} == settings
        identity = set(cfg.identity_of(config, node.kind)) - NAMES_OF_RUNS
        assert identity <= set(node.settings)
        named = {name for name in NAMES_OF_RUNS if found[name]}
        assert {found[name] for name in named} <= {earlier.name for earlier in node.before}


@pytest.mark.parametrize("preset", PRESETS)
def test_evaluation_and_analysis_understand_their_steps(preset):
    from ascl_tf.analyze import AnalyzeConfig
    from ascl_tf.program.evaluate_settings import EvaluateConfig

    for node in _nodes(preset, EVALUATE):
        config = EvaluateConfig.from_flags(_parsed(node, EvaluateConfig))
        assert config.output == "here" and (config.protocols() or config.series())
    for node in _nodes(preset, ANALYZE):
        config = AnalyzeConfig(**_parsed(node, AnalyzeConfig))
        assert node.outputs[0] == f"{config.figure}.json"


def test_paper_preset_leaves_the_rows_untouched():
    for folder in rows.find_rows():
        row = rows.load_row(folder)
        untouched = row.config.replace(workdir="")
        assert PAPER.apply(row.config, folder) == untouched


def test_smoke_preset_is_the_shrunken_row():
    for folder in rows.find_rows():
        config = SMOKE.apply(rows.load_row(folder).config, folder)
        assert config == cfg.shrink(config) and config.learning_rate == 0.1


def _cpu(folder):
    graph = Graph(CPU)
    return graph.pretrain_config(graph.row(folder))


def test_cpu_preset_changes_scale_and_lengths_alone():
    ascl = _cpu("table1/ascl")
    assert (ascl.epochs, ascl.width, ascl.global_batch_size) == (2, 8, 64)
    # Longer recipes get no more than ASCL.
    assert _cpu("table1/acl").epochs == _cpu("table1/selfie").epochs == ascl.epochs
    assert (ascl.finetune_epochs, _cpu("table1/acl").finetune_epochs) == (2, 2)
    assert _cpu("table1/rocl_rle").finetune_epochs == 2
    assert _cpu("table5/at").epochs == _cpu("figure2/standard").epochs == ascl.epochs
    assert _cpu("readings/eq8_clean").epochs == ascl.epochs
    for folder in rows.find_rows():
        full, small = rows.load_row(folder).config, _cpu(folder)
        same = set(full.to_json()) - {
            *("workdir", "width", "num_train_images", "num_images", "epochs", "warmup_epochs"),
            *("awp_warmup_epochs", "dynacl_interval", "global_batch_size", "learning_rate"),
            *("finetune_epochs", "finetune_global_batch_size"),
        }
        if full.is_one_shot:  # Which says nothing of fine-tuning.
            same -= {"finetune_learning_rate"}
        changed = {name for name in same if full.to_json()[name] != small.to_json()[name]}
        assert not changed
        share = full.warmup_epochs / full.epochs
        assert small.warmup_epochs / small.epochs == pytest.approx(share, abs=0.02)


def test_cpu_preset_scales_rates_with_large_batches_only():
    # Linear in the batch, from 512 and 1,024 to 64; the paper's own rate stays.
    assert _cpu("table1/acl").learning_rate == pytest.approx(5.0 / 8)
    assert _cpu("table1/scl").learning_rate == pytest.approx(0.714286 / 16)
    assert _cpu("table1/ascl").learning_rate == 0.1
    assert _cpu("beyond/mart").learning_rate == 0.01


def test_cpu_preset_has_more_seeds_of_some_rows_behind_the_first():
    found = [(m.row, m.seed) for m in make_plan(ARTIFACTS["table1"], Graph(CPU), (0,)).measured]
    more = [pair for pair in dict.fromkeys(found) if pair[1]]
    assert more == [(f"table1/{row}", seed) for seed in (1, 2) for row in ("at", "trades", "ascl")]
    assert [seed for _, seed in found] == sorted(seed for _, seed in found)
    assert CPU.seeds("table5/full", (0, 2)) == (0, 2, 1)
    assert CPU.seeds("table8/acl_same", (3,)) == (3,)


def test_cpu_preset_measures_the_first_test_images():
    nodes = [node for node in _all_nodes("cpu") if "protocol" in node.settings]
    found = {
        kind: {n.settings.get("num_images") for n in nodes if n.kind == kind}
        for kind in ("evaluate", "autoattack", "transfer", "corruptions", "sweeps")
    }
    assert found == {
        "evaluate": {2000},
        "autoattack": {500},
        "transfer": {2000},
        "corruptions": {2000},
        "sweeps": {500},
    }
    # 0: a figure's own number; the weight landscape attacks its images at every point.
    drawn = {
        node.settings["figure"]: node.settings["num_images"]
        for node in _all_nodes("cpu")
        if node.kind == "analyze"
    }
    own = dict.fromkeys(("inversion", "tsne", "input_landscape"), 0)
    assert drawn == {**own, "weight_landscape": 250, "calibration": 2000}


def test_cpu_preset_takes_all_images_of_stl10():
    (head, *_) = rows.load_row("table3/stl10_ascl").heads
    small = CPU.apply(head.parts[0], "table3/stl10_ascl")
    assert (small.dataset, small.num_train_images, small.width) == ("stl10", 0, 8)


def test_at_with_equal_compute_has_the_full_models_forward_passes():
    graph = Graph(CPU)
    at, full = graph.row("table5/at_equal_compute"), graph.row("table5/full")
    spent = [row.units * graph.pretrain_config(row).epochs for row in (at, full)]
    assert spent[0] == pytest.approx(spent[1], rel=0.03)
    changed = graph.pretrain_config(at).replace(epochs=2)
    assert changed == graph.pretrain_config(graph.row("table5/at"))


def test_readings_compare_positives_too():
    config = Graph(CPU).row("readings/positives_all").config
    assert config.ascl_positives == "all"
    like = rows.load_row("readings/denominator_joint").config
    assert config.replace(ascl_positives="cross", workdir=like.workdir) == like


def test_figures_take_the_first_head_of_models_that_have_one():
    for preset in PRESETS.values():
        graph = Graph(preset)
        for artifact in ARTIFACTS.values():
            folders = artifact.figure_rows or folders_of(artifact, preset)
            if artifact.figures and not artifact.columns:
                assert all(len(graph.row(folder).heads) == 1 for folder in folders)
