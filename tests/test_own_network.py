"""A network of one's own through every stage, and the text of docs/own_network.md."""

import json
import pathlib
import re
import shlex
import sys

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.data import datasets
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.errors import ConfigError
from ascl_tf.models.own_encoder import OwnEncoder
from ascl_tf.serving.loading import load_model
from ascl_tf.training import run, trained
from ascl_tf.training.encoder_sources import open_encoder, start_from
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly, random_images, weak_views_for_strong
from tests.program_lines import line_matches
from tests.training.resuming import read_checkpoint, run_stage, stop_and_continue, stop_at_step
from tests.training.worlds import make_tiny_world

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "own_network.md"
OWN = "tests.models.own_networks:"


@pytest.fixture
def world(monkeypatch):
    """A config of one epoch of two steps; stages see synthetic images, and any encoder."""
    from ascl_tf.methods import factory

    make_encoder = factory.make_encoder
    config = make_tiny_world(monkeypatch)
    monkeypatch.setattr(factory, "make_encoder", make_encoder)
    with eagerly(), weak_views_for_strong():
        yield config.replace(epochs=1, finetune_epochs=1, global_batch_size=12, method="acl")


def _images_of(size, monkeypatch):
    def load(name, split, **settings):
        count = 30 if split == "train" else 12
        images = (random_images(count, size, seed=len(split)) * 255).astype(np.uint8)
        labels = np.arange(count, dtype=np.int32) % 3
        return ImageDataset("noise", images, labels, 3, ("a", "b", "c"))

    monkeypatch.setattr(datasets, "load_dataset", load)


@pytest.mark.parametrize(
    "encoder, batch_norm, size",
    [
        (f"{OWN}make_functional", "separate", 8),
        # tests/models/test_own_encoder.py makes a step with each kind.
        pytest.param(f"{OWN}Subclassed", "shared", 8, marks=pytest.mark.slow),
        # Built five times, of 52 batch norm layers: minutes, of single steps without attack.
        pytest.param(f"{OWN}make_mobile_net", "separate", 32, marks=pytest.mark.slow),
    ],
)
def test_any_network_goes_through_every_stage(
    encoder, batch_norm, size, world, tmp_path, monkeypatch
):
    _images_of(size, monkeypatch)
    config = world.replace(encoder=encoder, batch_norm=batch_norm, protocol="fgsm", finetune="laf")
    if size == 32:
        config = config.replace(
            method="standard",
            finetune="lsf",
            protocol="standard",
            validation_fraction=0.0,
            global_batch_size=30,
            pretrained=str(tmp_path),
        )
    stage = f"finetune_{config.finetune}"
    workdir = WorkDirectory(tmp_path)
    for name in cfg.STAGES:
        run.run_stages(config, name, workdir)
    record = json.loads(workdir.results("pretrain").read_text())
    assert (
        record["settings"]["encoder"] == encoder and len(record["versions"]["encoder_file"]) == 64
    )
    evaluated, *_ = json.loads(workdir.results(f"evaluate_{stage}").read_text())["records"]
    assert 0 <= evaluated["robust_accuracy"] <= 100
    images = random_images(5, size)
    chosen = trained.chosen_checkpoint(config, workdir)
    classifier = trained.load_classifier(config, workdir, datasets.load_dataset("", "test"), chosen)
    assert isinstance(classifier.encoder, OwnEncoder)
    exported = load_model(workdir.export(stage))
    want = classifier(images, training=False)
    np.testing.assert_allclose(exported.logits_fn(images)["logits"], want, atol=1e-5)
    np.testing.assert_allclose(exported.features_fn(images), classifier.features(images), atol=1e-5)


@pytest.mark.slow  # test_resume.py stops runs of the package's network.
def test_stopped_run_with_dropout_continues_bit_for_bit(world, tmp_path):
    config = world.replace(
        encoder=f"{OWN}make_dropped",
        method="standard",
        global_batch_size=6,
        checkpoint_every=2,
    )
    undisturbed = read_checkpoint(run_stage(config, tmp_path / "undisturbed"), cfg.PRETRAIN)
    path = stop_and_continue(
        config, tmp_path / "stopped", cfg.PRETRAIN, lambda patch: stop_at_step(patch, 3)
    )
    assert read_checkpoint(path, cfg.PRETRAIN) == undisturbed
    contents = undisturbed[1]
    (state,) = [value for name, value in contents.items() if name.startswith("random_state")]
    # A pass of each of the four steps has drawn once.
    assert np.frombuffer(state, np.int64)[1] == 4


@pytest.mark.slow  # Two more runs.
def test_fine_tuning_finds_the_encoder_of_the_run_that_it_starts_from(world, tmp_path):
    config = world.replace(encoder=f"{OWN}make_functional", method="standard")
    run.run_stages(config, cfg.PRETRAIN, WorkDirectory(tmp_path / "source"))
    other = world.replace(pretrained=str(tmp_path / "source"), finetune="lsf")
    run.run_stages(other, cfg.FINETUNE, WorkDirectory(tmp_path / "tuned"))
    record = json.loads((tmp_path / "tuned" / "results" / "finetune_lsf.json").read_text())
    assert record["settings"]["encoder"] == f"{OWN}make_functional"
    # What takes the weights of another run alone names the difference.
    with line_matches(
        ConfigError, "--initial_encoder=.*: expected --encoder=resnet as in this run"
    ):
        start_from(open_encoder("initial_encoder", str(tmp_path / "source")), world.network, None)


def test_encoder_identifies_a_run_and_its_place_does_not(tmp_path):
    assert "encoder" not in cfg.identity_of(cfg.Config(), cfg.PRETRAIN)
    places = [cfg.Config(encoder=f"{tmp_path}/{name}/m.keras") for name in "ab"]
    first, second = (cfg.identity_of(config, cfg.EXPORT) for config in places)
    assert first == second and first["encoder"] == "m.keras"
    absolute = cfg.with_absolute_places({"encoder": "m.keras"})["encoder"]
    assert pathlib.Path(absolute).is_absolute()
    assert cfg.with_absolute_places({"encoder": "mine:f"}) == {"encoder": "mine:f"}


def _first_block(language):
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


@pytest.mark.slow  # Half a minute; the test of any network goes the same way.
def test_the_documents_network_is_trained_by_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(_first_block("python"))
    with eagerly():
        # The tests have two virtual CPUs, where a machine without GPU has one device.
        train.main(["train", *shlex.split(_first_block("sh"))[3:], "--num_replicas=1"])
    sys.modules.pop("mine")
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert recorded["encoder"] == "mine:make_encoder" and recorded["batch_norm"] == "separate"
    record = json.loads((tmp_path / "run" / "results" / "pretrain.json").read_text())
    assert len(record["versions"]["encoder_file"]) == 64
    (exported,) = (tmp_path / "run" / "export").glob("*/saved_model.pb")
    assert exported.stat().st_size > 0
