"""Every flagfile gives a valid config, says what it is, and shrinks with --smoke.

Rows of the paper's tables and figures are folders: flags/<table>/<row>/<stage>.flags.
"""

import dataclasses
import itertools
import pathlib
import re

import pytest

from ascl_tf import config as cfg
from ascl_tf.config import Config
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.methods.ascl_spec import AsclSettings
from ascl_tf.program import flag_defs
from tests.flagfiles import (
    ALL_FILES,
    BASE,
    FLAGFILES,
    ROOT,
    ROWS,
    RUNS,
    config_of,
    files_in,
    flag_lines,
    groups_in,
    is_of_train,
    parse,
    text_of,
    train_files_in,
)
from tools.rows import (
    commands,
    evaluation_files,
    find_rows,
    finetune_file,
    load_row,
    pretrain_file,
)

FOLDERS = [*ROWS, "flags"]
# Settings of which images and labels a run sees; a transferred encoder changes them.
DATA = {"dataset", "image_size"}
NAMES_OF_RUNS = ("pretrained", "pseudo_label_encoder", "initial_encoder")


@pytest.fixture(autouse=True)
def _in_the_repository_root(monkeypatch):
    # A nested flagfile is looked up from the working directory.
    monkeypatch.chdir(ROOT)


def test_there_are_flagfiles():
    assert "flags/quickstart.flags" in RUNS and BASE
    others = {path for path in ALL_FILES if (ROOT / path).is_file()} - set(FLAGFILES)
    assert others == {"flags/rows.toml", "flags/claims.toml"}


def test_row_folders_are_the_rows_that_train_something():
    owning = {f"flags/{name}" for name, row in find_rows().items() if row.units}
    assert owning == set(ROWS)


def test_rows_that_are_another_rows_run_resolve_to_its_owner():
    for name, row in find_rows().items():
        named = [row.run, row.pretrain, *row.heads]
        assert all(find_rows()[other].units for other in named if other), name
        if row.run:
            assert load_row(name)._replace(row=row) == load_row(row.run)._replace(row=row)
            assert commands(name) == commands(row.run)


def test_rows_stand_in_the_papers_order():
    places = [row.place for row in find_rows().values()]
    assert len(set(places)) == len(places)
    kinds = [place.split(" ")[0] for place in places]
    assert [kind for kind, _ in itertools.groupby(kinds)][:2] == ["Table", "Figure"]
    numbered = [place for place in places if place.startswith(("Table", "Figure"))]
    order = [(-ord(p[0]), *map(int, re.findall(r"\d+", p))) for p in numbered]
    assert order == sorted(order)


def test_commands_of_a_row_are_its_stages():
    found = [" ".join(command[2:]) for command in commands("table4/ascl")]
    assert found == [
        "ascl_tf.train --flagfile=flags/table1/ascl/pretrain.flags",
        "ascl_tf.train --flagfile=flags/table1/ascl/finetune.flags",
        "ascl_tf.train --flagfile=flags/table1/ascl/evaluate.flags",
        "ascl_tf.train --flagfile=flags/table7/lsf/finetune.flags",
        "ascl_tf.train --flagfile=flags/table7/lsf/evaluate.flags",
    ]
    exported = [command for command in commands("table1/selfie_dpe") if command[-1][8:] == "export"]
    assert [command[-2][15:] for command in exported] == [
        "encoder",
        "encoder_rotation",
        "encoder_jigsaw",
    ]


@pytest.mark.parametrize("folder", [*FOLDERS, "flags/base"])
def test_parses_into_a_valid_config(folder):
    for path in filter(is_of_train, files_in(folder)):
        config = config_of(path)
        for name in [config.validation_protocol, *config.protocol.split(",")]:
            get_protocol(name.strip())


def test_files_of_the_evaluation_program_parse_too():
    from ascl_tf.evaluate import EvaluateConfig

    for path in itertools.filterfalse(is_of_train, RUNS):
        values = flag_defs.define_flags(EvaluateConfig)
        config = EvaluateConfig(**flag_defs.parse(values, ["evaluate", f"--flagfile={path}"]))
        folder = f"runs/{pathlib.PurePath(path).parent.relative_to('flags')}"
        assert config.output.startswith(f"{folder}/results/") and config.protocols()
        assert all(model.startswith(f"{folder}/export/") for model in config.model.split(","))


@pytest.mark.parametrize("path", FLAGFILES)
def test_nested_files_are_groups(path):
    nested = groups_in(path)
    assert set(nested) <= set(BASE)
    # Two levels of groups at most, so that a row can be understood.
    deepest = [target for group in nested for target in groups_in(group)]
    assert not any(groups_in(target) for target in deepest)


@pytest.mark.parametrize("folder", [*FOLDERS, "flags/base"])
def test_groups_stand_before_own_lines(folder):
    for path in files_in(folder):
        is_group = ["flagfile=" in line for line in flag_lines(path)]
        assert is_group == sorted(is_group, reverse=True), f"{path}: the last setting wins"


@pytest.mark.parametrize("folder", [*FOLDERS, "flags/base"])
def test_holds_comments_and_flags_only(folder):
    for path in files_in(folder):
        for line in text_of(path).splitlines():
            assert not line or line.startswith("# ") or re.fullmatch(r"--[a-z_0-9]+(=\S.*)?", line)
        assert "undefok" not in text_of(path)


@pytest.mark.parametrize("path", FLAGFILES)
def test_settles_nothing_of_a_machine(path):
    if not is_of_train(path):
        return
    config = config_of(path)
    assert (config.data_dir, config.num_replicas) == ("", 0)
    for name in ("workdir", *NAMES_OF_RUNS):
        value = getattr(config, name)
        is_relative = value.startswith(("runs/", "pretrained:"))
        assert not value or is_relative, f"{path}: --{name} is not relative"
    if path in BASE:
        assert not config.workdir
    elif path.count("/") > 2:
        assert config.workdir == f"runs/{pathlib.PurePath(path).parent.relative_to('flags')}"


@pytest.mark.parametrize("folder", ROWS)
def test_row_folder_holds_its_stages(folder):
    for path in files_in(folder):
        stage = pathlib.PurePath(path).stem.split("_")[0]
        assert not is_of_train(path) or parse(f"--flagfile={path}")[1] == stage
    stages = {pathlib.PurePath(path).stem.split("_")[0] for path in files_in(folder)}
    configs = [config_of(path) for path in train_files_in(folder)]
    is_one_shot = all(config.is_one_shot and not config.pretrained for config in configs)
    expected = {cfg.EVALUATE} | (set() if is_one_shot else {cfg.FINETUNE})
    row = find_rows()[folder.removeprefix("flags/")]
    assert stages == expected | (set() if row.pretrain else {cfg.PRETRAIN})


@pytest.mark.parametrize("row", find_rows())
def test_stages_of_a_row_describe_one_run(row):
    pretrain = config_of(pretrain_file(row))
    expected = cfg.identity_of(pretrain, cfg.PRETRAIN)
    for evaluation in evaluation_files(row):
        if not (finetune := finetune_file(evaluation)):
            continue
        config = config_of(finetune)
        start = config.pretrained or config.workdir
        assert start == pretrain.workdir, "fine-tuning starts from the row's encoder"
        found = cfg.identity_of(config, cfg.PRETRAIN)
        differing = {name for name in expected if found[name] != expected[name]}
        # What only the attack of fine-tuning needs may differ where the work directory does.
        assert differing <= (DATA | {"step_size"} if config.pretrained else set())
        if is_of_train(evaluation):
            configs = [config_of(path) for path in (finetune, evaluation)]
            assert cfg.identity_of(configs[0], cfg.FINETUNE) == cfg.identity_of(
                configs[1], cfg.FINETUNE
            )
            assert configs[0].workdir == configs[1].workdir


def test_work_directories_never_hold_two_runs():
    seen = {}
    for path in filter(is_of_train, RUNS):
        config, stage = parse(f"--flagfile={path}")
        if not config.workdir:
            continue
        if stage == cfg.PRETRAIN:
            key, identity = (config.workdir,), cfg.identity_of(config, cfg.PRETRAIN)
        else:
            key = (config.workdir, config.finetune, config.encoder_part)
            identity = cfg.identity_of(config, cfg.FINETUNE)
        assert seen.setdefault(key, identity) == identity, path


def test_runs_that_are_started_from_are_trained_by_a_row():
    trained = {config_of(path).workdir for row in ROWS for path in files_in(row, cfg.PRETRAIN)}
    for path in filter(is_of_train, RUNS):
        named = {getattr(config_of(path), name) for name in NAMES_OF_RUNS} - {""}
        assert {name for name in named if not name.startswith("pretrained:")} <= trained, path


def _differing(paths, stage):
    first, second = (cfg.identity_of(config_of(path), stage) for path in paths)
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


PRETRAIN_DIFFERENCES = [
    ("table5/at", "table5/full", {"lambda_1", "lambda_2"}),
    ("table5/at_self_supervised", "table5/full", {"lambda_2"}),
    ("table5/at_supervised", "table5/full", {"lambda_1"}),
    ("table6/label_based", "table6/ensemble", {"lambda_1"}),
    ("table6/label_based", "table5/at_supervised", set()),
    ("table6/label_based_ce", "table6/ensemble", {"attack_source_cl", "attack_source_ascl"}),
    ("table6/label_independent", "table6/ensemble", {"attack_source_at", "attack_source_ascl"}),
    ("table7/lsf", "table7/laf", set()),
    ("table7/fsf", "table7/laf", set()),
    ("table7/faf", "table7/laf", set()),
    ("table8/acl_same", "table8/acl_separate", {"batch_norm"}),
    ("table8/ascl_same", "table8/ascl_separate", {"batch_norm"}),
    ("readings/denominator_clean", "readings/denominator_joint", {"ascl_denominator"}),
    ("readings/denominator_adversarial", "readings/denominator_joint", {"ascl_denominator"}),
    ("readings/eq8_adversarial", "readings/denominator_joint", {"ascl_loss"}),
    ("readings/eq8_clean", "readings/denominator_joint", {"ascl_loss"}),
    ("table1/at", "table1/trades", {"method"}),
    ("table1/at", "figure2/standard", {"method"}),
    ("table1/at", "beyond/at_awp", {"awp_gamma"}),
    ("table1/trades", "beyond/trades_awp", {"awp_gamma", "awp_warmup_epochs"}),
    ("table1/acl", "beyond/dynacl", {"method"}),
    ("table1/rocl", "table1/rocl_rle", set()),
    ("figure7/full", "table1/ascl", set()),
]


@pytest.mark.parametrize(("row", "other", "fields"), PRETRAIN_DIFFERENCES)
def test_rows_differ_in_pre_training_where_the_table_says(row, other, fields):
    paths = [pretrain_file(name) for name in (row, other)]
    assert _differing(paths, cfg.PRETRAIN) == fields


FINETUNE_DIFFERENCES = [
    ("table7/lsf", "table7/laf", {"finetune"}),
    ("table7/fsf", "table7/laf", {"finetune"}),
    ("table7/faf", "table7/laf", {"finetune"}),
    ("table5/at_self_supervised", "table5/full", set()),
    ("table6/label_independent", "table6/ensemble", set()),
    ("table8/ascl_same", "table8/ascl_separate", {"batch_norm"}),
    ("table3/stl10_ascl", "table7/laf", {"dataset", "image_size"}),
    ("table3/cifar100_ascl", "table7/laf", {"dataset"}),
    ("table1/advcl", "table1/ascl", {"method", "batch_norm"}),
]


@pytest.mark.parametrize(("row", "other", "fields"), FINETUNE_DIFFERENCES)
def test_rows_differ_in_fine_tuning_where_the_table_says(row, other, fields):
    paths = [finetune_file(evaluation_files(name)[0]) for name in (row, other)]
    assert _differing(paths, cfg.FINETUNE) - {"pretrained"} == fields


@pytest.mark.parametrize("path", FLAGFILES)
def test_smoke_shrinks_it(path):
    if not is_of_train(path):
        return
    small, _ = parse(f"--flagfile={path}", "--smoke")
    assert small == cfg.shrink(small)
    # A folder of one's own stays: there is none like it.
    own = parse(f"--flagfile={path}")[0].dataset.startswith("folder:")
    assert small.smoke and small.dataset == ("folder:pictures" if own else "bundled")
    num_trained = small.num_train_images * (1 - small.validation_fraction)
    num_steps = num_trained // small.global_batch_size * small.epochs
    assert 1 <= num_steps <= 4
    attack_steps = [small.num_steps_at, small.num_steps_cl, small.num_steps_ascl]
    assert max(*attack_steps, small.finetune_num_steps, small.num_steps_pretext) <= 2
    assert small.width <= 4 and small.image_size <= 16 and small.num_images <= 64


def test_the_papers_settings_are_the_defaults():
    paper = config_of("flags/table1/ascl/finetune.flags")
    # 0 stands for the paper's length and batch of fine-tuning.
    assert (paper.finetune_epochs, Config().num_finetune_epochs) == (10, 10)
    assert (paper.finetune_global_batch_size, Config().finetune_batch_size) == (512, 512)
    written = {"finetune_epochs": 0, "finetune_global_batch_size": 0}
    assert paper.replace(**written, workdir="", dataset="auto") == Config()


def test_the_papers_settings_are_all_written_out():
    path = "flags/table1/ascl/finetune.flags"
    files = [path, *groups_in(path)]
    files += [group for file in groups_in(path) for group in groups_in(file)]
    written = {re.match(r"--(\w+)", line)[1] for file in files for line in flag_lines(file)}
    sections = (
        cfg.NetworkSettings,
        cfg.AttackSettings,
        cfg.OptimizationSettings,
        cfg.FinetuneSettings,
    )
    needed = {field.name for section in sections for field in dataclasses.fields(section)}
    sections = (cfg.ObjectiveSettings, AsclSettings)
    objective = {field.name for section in sections for field in dataclasses.fields(section)}
    # Another run's encoder is no setting of a paper; LARS is not its optimizer; a perturbation that
    # terms share is no term of it.
    others = {"pretrained", "initial_encoder", "encoder_part"}
    others |= {"lars_trust", "lars_rate", "shared_perturbation"}
    assert needed | objective <= written | others
