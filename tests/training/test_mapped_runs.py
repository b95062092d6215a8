"""A run whose images lie in a file is the run of the same images in memory, bit for bit."""

import numpy as np
import pytest
from PIL import Image

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.data.mapped_images import MappedImages
from ascl_tf.training import run
from tests.common import eagerly, two_replicas
from tests.methods import helpers
from tests.training.resuming import (
    Stopped,
    check_same,
    read_checkpoint,
    read_record,
    run_stage,
    stop_and_continue,
    stop_at_step,
    stop_in_mid_epoch,
)
from tests.training.worlds import make_tiny_world

load_dataset = datasets.load_dataset  # What `make_tiny_world` replaces.


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Two configs that read the pictures of the tiny world: into memory, and into a file."""
    config = make_tiny_world(monkeypatch)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    whole = helpers.make_dataset(30)
    for i, (image, label) in enumerate(zip(whole.images, whole.labels, strict=True)):
        path = tmp_path / "noise" / "train" / whole.class_names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    config = config.replace(dataset=f"folder:{tmp_path / 'noise'}", checkpoint_every=3)
    in_file = config.replace(memory_limit="0", cache_dir=str(tmp_path / "cache"))
    return config.replace(memory_limit="1GB"), in_file


@pytest.mark.slow  # Batches of a file are those of memory: tests/data.
def test_run_on_a_file_is_stopped_and_goes_on_as_the_undisturbed_one_in_memory(configs, tmp_path):
    changes = {"method": "standard", "epochs": 1, "checkpoint_every": 2}
    in_memory, in_file = (config.replace(**changes) for config in configs)
    with eagerly():
        undisturbed = run_stage(in_memory, tmp_path / "in_memory")
        path = stop_and_continue(
            in_file, tmp_path / "file", cfg.PRETRAIN, lambda patch: stop_at_step(patch, 3)
        )
    assert isinstance(run.load_training_data(in_file)[1].images, MappedImages)
    assert read_checkpoint(path, cfg.PRETRAIN) == read_checkpoint(undisturbed, cfg.PRETRAIN)
    assert read_record(path, cfg.PRETRAIN) == read_record(undisturbed, cfg.PRETRAIN)


@pytest.mark.slow
def test_run_that_began_in_memory_goes_on_from_a_file(configs, tmp_path):
    in_memory, in_file = (config.replace(method="standard") for config in configs)
    with eagerly():
        undisturbed = run_stage(in_file, tmp_path / "undisturbed")
        with pytest.raises(Stopped), pytest.MonkeyPatch.context() as patch:
            stop_in_mid_epoch(patch)
            run_stage(in_memory, tmp_path / "other")
        run_stage(in_file, tmp_path / "other")
    check_same(tmp_path / "other", undisturbed, cfg.PRETRAIN)


@pytest.mark.slow
def test_pseudo_labels_and_unlabeled_images_are_the_same(configs, tmp_path):
    encoder = str(tmp_path / "encoder")
    changes = {"num_clusters": "2", "dynacl_interval": 1, "epochs": 1}
    contents = []
    with eagerly():
        run_stage(configs[0].replace(method="simclr", epochs=1), tmp_path / "encoder")
        for name, config in zip(("in_memory", "file"), configs, strict=True):
            config = config.replace(
                method="dynacl_pp",
                unlabeled_dataset=config.dataset,
                pseudo_label_encoder=encoder,
                initial_encoder=encoder,
                **changes,
            )
            path = run_stage(config, tmp_path / name)
            with np.load(path / "pseudo_labels.npz") as file:
                contents.append([read_checkpoint(path, cfg.PRETRAIN), *file["pseudo_labels"]])
    assert len(contents[0]) == 1 + 24 + 30
    assert contents[0] == contents[1]


@pytest.mark.slow  # tests/data/test_mapped_images.py compares what each replica gets.
def test_two_replicas_train_the_same_on_a_file(configs, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "make_strategy", lambda *_, **__: two_replicas())
    contents = []
    for name, config in zip(("in_memory", "file"), configs, strict=True):
        path = run_stage(config.replace(method="standard", epochs=1, jit="off"), tmp_path / name)
        contents.append(read_checkpoint(path, cfg.PRETRAIN))
    assert contents[0] == contents[1]


@pytest.mark.slow  # The one before has pre-training.
def test_fine_tuning_and_evaluation_are_the_same(configs, tmp_path):
    contents = []
    with eagerly():
        for name, config in zip(("in_memory", "file"), configs, strict=True):
            config = config.replace(
                method="simclr",
                finetune="laf",
                finetune_epochs=1,
                encoder_checkpoint="random",
                protocol="standard",
                test_split="train",
            )
            path = run_stage(config, tmp_path / name, cfg.FINETUNE)
            contents.append(read_checkpoint(path, "finetune_laf_random_encoder"))
            run_stage(config, path, cfg.EVALUATE)
    assert contents[0] == contents[1]
