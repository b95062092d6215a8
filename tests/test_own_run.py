"""`evaluate` and `analyze` take the split of the images from the run that exported the model."""

import json

import pytest

from ascl_tf.config import Config
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.program.analyze_settings import AnalyzeConfig
from ascl_tf.program.evaluate_settings import EvaluateConfig
from ascl_tf.program.export_settings import ExportConfig


@pytest.fixture
def model(tmp_path):
    """A model in the work directory of a run on pictures."""
    settings = Config(
        dataset="folder:/data/pets", test_fraction=0.3, split_seed=4, test_split="auto"
    )
    _record(tmp_path, settings.to_json())
    (tmp_path / "run" / "export" / "finetune_laf").mkdir(parents=True)
    return tmp_path / "run" / "export" / "finetune_laf"


def _record(tmp_path, settings):
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "config.json").write_text(json.dumps({"settings": settings}))


def _evaluate(model, **flags):
    return EvaluateConfig.from_flags({"model": str(model), **flags})


def test_split_of_the_run_is_taken_over_and_said(model, capsys):
    config = _evaluate(model)
    assert (config.dataset, config.test_fraction, config.split_seed) == (
        "folder:/data/pets",
        0.3,
        4,
    )
    assert (config.split, config.training_split, config.image_size) == ("auto", "train", 0)
    assert capsys.readouterr().out == (
        "notice: --dataset=folder:pets --test_fraction=0.3 --split_seed=4, as in the run that "
        "exported the model\n"
    )


def test_figures_take_it_over_too(model):
    config = AnalyzeConfig.from_flags({"models": f"mine={model}", "output": "out"})
    assert (config.dataset, config.split_seed) == ("folder:/data/pets", 4)


@pytest.mark.parametrize("dataset", ["folder:elsewhere/pets", "folder:/data/pets/"])
def test_flags_stay_and_a_moved_folder_is_the_same(model, dataset):
    config = _evaluate(model, dataset=dataset, test_fraction=0.5, split="train")
    assert (config.dataset, config.test_fraction, config.split_seed) == (dataset, 0.5, 4)
    assert config.split == "train"


@pytest.mark.parametrize("dataset", ["cifar10", "folder:/data/others"])
def test_other_data_sets_are_split_by_their_own_settings(model, capsys, dataset):
    assert _evaluate(model, dataset=dataset).split_seed == 0
    assert capsys.readouterr().out == ""


def test_splits_of_named_sets_are_taken_over(tmp_path, model):
    splits = {"train_split": "train[:80%]", "test_split": "train[80%:]", "image_size": 48}
    _record(tmp_path, Config(dataset="flowers", resize="pad", **splits).to_json())
    config = _evaluate(model, dataset="flowers")
    assert (config.training_split, config.split) == ("train[:80%]", "train[80%:]")
    assert (config.image_size, config.resize) == (48, "pad")
    # Nobody has said that it is this set.
    assert (_evaluate(model).dataset, _evaluate(model).split) == ("auto", "auto")


def test_model_outside_of_a_run_has_none(tmp_path, model, capsys):
    moved = model.rename(tmp_path / "model")
    assert _evaluate(moved).split_seed == 0 and capsys.readouterr().out == ""


def test_resize_rule_of_a_model_outside_of_a_run_is_on_its_card(tmp_path, model, capsys):
    moved = model.rename(tmp_path / "model")
    card = {"class_names": [], "image_size": [8, 8], "resize": "pad", "files": {}}
    (moved / "card.json").write_text(json.dumps(card))
    assert _evaluate(moved, dataset="folder:new").resize == "pad"
    assert capsys.readouterr().out == "notice: --resize=pad, as on the model's card\n"
    assert _evaluate(moved, resize="stretch").resize == "stretch"
    (moved / "card.json").write_text("another program's")
    assert _evaluate(moved).resize == "crop"


def test_export_takes_them_over_where_it_reads_data(model):
    flags = {"model": str(model), "output": "out"}
    config = ExportConfig.from_flags({**flags, "dataset": "folder:pets"})
    assert (config.test_fraction, config.split_seed, config.split) == (0.3, 4, "test")
    assert ExportConfig.from_flags(flags).dataset == ""


def test_first_of_several_models_that_has_a_run_counts(tmp_path, model):
    config = EvaluateConfig.from_flags({"targets": f"a={tmp_path},b={model}"})
    assert config.split_seed == 4


def test_record_of_an_older_version_says_less(tmp_path, model):
    _record(tmp_path, {"dataset": "folder:/data/pets", "image_size": 32, "gone": 1})
    config = _evaluate(model, dataset="folder:/data/pets")
    assert (config.image_size, config.test_fraction) == (32, 0.2)


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"settings": {"image_size": "32"}}'])
def test_damaged_record_is_named(tmp_path, model, text):
    (tmp_path / "run" / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json: expected the settings of a run; found"):
        _evaluate(model)


def test_mistaken_flags_are_refused_before_the_record_is_read(tmp_path, model):
    (tmp_path / "run" / "config.json").write_text("no JSON")
    with pytest.raises(ConfigError, match="--test_fraction|`test_fraction`"):
        _evaluate(model, test_fraction=2.0)
