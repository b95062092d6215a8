"""Every flagfile gives a valid config, says what it is, and shrinks with --smoke."""

import dataclasses
import pathlib
import re

import pytest
from absl import flags

from ascl_tf import config as cfg
from ascl_tf import flag_defs, train
from ascl_tf.config import Config
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.method_settings import AsclConfig

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALL_FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "flags").rglob("*"))
FLAGFILES = [path for path in ALL_FILES if (ROOT / path).is_file()]
BASE = [path for path in FLAGFILES if path.startswith("flags/base/")]
ROWS = [path for path in FLAGFILES if path not in BASE]


@pytest.fixture(autouse=True)
def _in_the_repository_root(monkeypatch):
    # absl looks a nested flagfile up from the working directory.
    monkeypatch.chdir(ROOT)


def _parse(*argv):
    """Returns the config and the stage that a command line of the program asks for."""
    values = flag_defs.define_flags(*cfg.SECTIONS)
    flag_defs.define_program_flags(values)
    stages = [*cfg.STAGES, cfg.ALL]
    flags.DEFINE_enum("stage", cfg.PRETRAIN, stages, "What to do.", flag_values=values)
    explicit = flag_defs.parse(values, ["train", *argv])
    stage = explicit.pop("stage", cfg.PRETRAIN)
    return train.config_from(Config(), explicit), stage


def _text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def test_there_are_flagfiles():
    assert "flags/quickstart.flags" in ROWS and BASE
    assert all(path.endswith(".flags") for path in FLAGFILES)


@pytest.mark.parametrize("path", FLAGFILES)
def test_parses_into_a_valid_config(path):
    config, _ = _parse(f"--flagfile={path}")
    for name in [config.validation_protocol, *config.protocol.split(",")]:
        get_protocol(name.strip())


@pytest.mark.parametrize("path", FLAGFILES)
def test_nested_paths_start_at_the_repository_root_and_are_base_groups(path):
    nested = re.findall(r"^--?flagfile=(.*)$", _text(path), re.MULTILINE)
    for target in nested:
        assert target in BASE, f"{path} includes {target}"
    # Two levels of groups at most, so that a row can be understood.
    deeper = [re.findall(r"^--?flagfile=(.*)$", _text(t), re.MULTILINE) for t in nested]
    deepest = [target for targets in deeper for target in targets]
    assert not any(re.search("^--?flagfile=", _text(t), re.MULTILINE) for t in deepest)


@pytest.mark.parametrize("path", FLAGFILES)
def test_groups_stand_before_own_lines(path):
    lines = [line for line in _text(path).splitlines() if line.startswith("-")]
    is_group = ["flagfile=" in line for line in lines]
    assert is_group == sorted(is_group, reverse=True), "the last setting wins"


@pytest.mark.parametrize("path", FLAGFILES)
def test_holds_comments_and_flags_only(path):
    for line in _text(path).splitlines():
        assert not line or line.startswith("# ") or re.fullmatch(r"--[a-z_0-9]+(=\S.*)?", line)
    assert "undefok" not in _text(path)


@pytest.mark.parametrize("path", FLAGFILES)
def test_settles_nothing_of_a_machine(path):
    config, _ = _parse(f"--flagfile={path}")
    assert (config.workdir, config.data_dir, config.num_replicas) == ("", "", 0)


@pytest.mark.parametrize("path", FLAGFILES)
def test_begins_with_what_it_is(path):
    assert re.match(r"# \w", _text(path))


@pytest.mark.parametrize("path", ROWS)
def test_header_gives_its_command(path):
    header = _text(path).split("\n--")[0]
    assert all(line.startswith("# ") for line in header.splitlines() if line)
    commands = re.findall(r"python -m ascl_tf\.(\w+) (.*)", header)
    assert commands, "expected a line `# Run:  python -m ascl_tf...`"
    for program, arguments in commands:
        assert (ROOT / "ascl_tf" / f"{program}.py").is_file()
        assert f"--flagfile={path}" in arguments.split()


@pytest.mark.parametrize("path", [path for path in ROWS if path.count("/") > 1])
def test_row_folder_holds_its_stages(path):
    _, stage = _parse(f"--flagfile={path}")
    assert pathlib.PurePath(path).stem.split("_")[0] == stage
    stages = {p.stem.split("_")[0] for p in (ROOT / path).parent.glob("*.flags")}
    assert {cfg.PRETRAIN, cfg.EVALUATE} <= stages <= set(cfg.STAGES)
    assert f"stage: {stage}" in _text(path)


def test_stages_of_a_row_describe_one_run():
    configs = [_parse(f"--flagfile=flags/ascl_cifar10/{name}.flags")[0] for name in cfg.STAGES[:3]]
    for stage in cfg.TRAINING_STAGES:
        assert all(config.identity(stage) == configs[0].identity(stage) for config in configs)
    assert len({train.default_workdir(config) for config in configs}) == 1


@pytest.mark.parametrize("path", FLAGFILES)
def test_smoke_shrinks_it(path):
    small, _ = _parse(f"--flagfile={path}", "--smoke")
    assert small == cfg.shrink(small)
    assert small.smoke and small.dataset == "bundled"
    num_trained = small.num_train_images * (1 - small.validation_fraction)
    num_steps = num_trained // small.global_batch_size * small.epochs
    assert 1 <= num_steps <= 4
    attack_steps = [small.num_steps_at, small.num_steps_cl, small.num_steps_ascl]
    assert max(*attack_steps, small.finetune_num_steps) <= 2
    assert small.width <= 4 and small.image_size <= 16 and small.num_images <= 64


def test_the_papers_settings_are_the_defaults():
    paper = _parse("--flagfile=flags/base/paper_ascl.flags")[0]
    # The paper's length of fine-tuning is what 0 stands for.
    assert (paper.finetune_epochs, Config().num_finetune_epochs) == (10, 10)
    assert paper.replace(finetune_epochs=0) == Config()


def test_the_papers_settings_are_all_written_out():
    written = set(re.findall(r"^--(\w+)", _text("flags/base/paper_ascl.flags"), re.MULTILINE))
    for group in ("resnet18", "attack_linf_8_255"):
        written |= set(re.findall(r"^--(\w+)", _text(f"flags/base/{group}.flags"), re.MULTILINE))
    sections = (cfg.ModelConfig, cfg.AttackConfig, cfg.TrainingConfig, cfg.FinetuneConfig)
    needed = {field.name for section in sections for field in dataclasses.fields(section)}
    sections = (cfg.ObjectiveConfig, AsclConfig)
    objective = {field.name for section in sections for field in dataclasses.fields(section)}
    # Another run's encoder is no setting of a paper; LARS is not its optimizer.
    assert needed | objective <= written | {"pretrained", "encoder_part", "lars_trust"}
