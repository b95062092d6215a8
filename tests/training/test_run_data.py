"""Which images a run trains, validates and tests on."""

import dataclasses

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.errors import MissingSplitError, RunError
from ascl_tf.training import run, run_data, trained
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import helpers


@pytest.fixture
def loaded(monkeypatch):
    """Sixty training and twelve test images in place of any data set; what was asked for."""
    requests = []

    def load_dataset(name, split, **settings):
        requests.append((name, split, settings))
        return helpers.make_dataset(60 if split == "train" else 12, seed=len(name))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return requests


CONFIG = helpers.TINY.replace(dataset="noise", validation_fraction=0.2)


def _rows(dataset):
    return {image.tobytes() for image in dataset.images}


def _counts(dataset):
    return [int(np.sum(dataset.labels == label)) for label in range(-1, helpers.NUM_CLASSES)]


def test_validation_is_cut_off_balanced_and_disjoint(loaded):
    train, validation = run.load_training_data(CONFIG)
    assert _counts(train) == [0, 16, 16, 16] and _counts(validation) == [0, 4, 4, 4]
    assert not _rows(train) & _rows(validation)
    assert len(_rows(train) | _rows(validation)) == 60


def test_no_validation_where_none_is_asked_for(loaded):
    train, validation = run.load_training_data(CONFIG.replace(validation_fraction=0.0))
    assert validation is None and len(train) == 60


def test_seed_decides_which_images_validate(loaded):
    cuts = [run.load_training_data(CONFIG.replace(seed=s))[1] for s in (1, 1, 2)]
    assert _rows(cuts[0]) == _rows(cuts[1]) != _rows(cuts[2])


def test_fewer_training_and_validation_images(loaded):
    config = CONFIG.replace(num_train_images=30, num_validation_images=3)
    train, validation = run.load_training_data(config)
    assert _counts(train) == [0, 8, 8, 8] and _counts(validation) == [0, 1, 1, 1]


def test_labeled_fraction_hides_labels_in_training_only(loaded):
    train, validation = run.load_training_data(CONFIG.replace(labeled_fraction=0.25))
    assert _counts(train) == [36, 4, 4, 4] and _counts(validation) == [0, 4, 4, 4]


def test_where_labels_are_needed_the_labeled_images_fill_the_epoch(loaded):
    config = CONFIG.replace(labeled_fraction=0.25)
    some, _ = run.load_training_data(config)
    train, validation = run.load_training_data(config, labeled_only=True)
    assert _counts(train) == [0, 16, 16, 16] and _counts(validation) == [0, 4, 4, 4]
    labeled = some.take(some.labels >= 0)
    assert _rows(train) == _rows(labeled)
    np.testing.assert_array_equal(train.images[:12], labeled.images)
    whole, _ = run.load_training_data(CONFIG, labeled_only=True)
    assert _rows(whole) == _rows(some) and len(whole) == 48


class _Asked(Exception):
    """Carries what a stage asks of its training data."""


@pytest.mark.parametrize(
    "changes, labeled_only",
    [
        ({}, False),
        ({"lambda_1": 0.0}, True),
        ({"method": "at"}, True),
        ({"method": "scl"}, True),
        ({"method": "rotation_at"}, False),
        ({"method": "simclr"}, False),
    ],
)
def test_stage_without_a_term_for_them_leaves_unlabeled_images_out(
    monkeypatch, changes, labeled_only
):
    def load(*sections, given, labels_for, labeled_only):
        raise _Asked(labeled_only)

    monkeypatch.setattr(run_data, "load_training_data", load)
    config = CONFIG.replace(labeled_fraction=0.5, **changes)
    for stage, expected in ((run.pretrain, labeled_only), (run.finetune, True)):
        with pytest.raises(_Asked) as asked:
            stage(config, None)
        assert asked.value.args == (expected,)


def test_unlabelled_images_join_behind_the_labelled_ones(loaded):
    config = CONFIG.replace(unlabeled_dataset="more noise")
    train, _ = run.load_training_data(config)
    joined = run_data.with_unlabeled_images(config.data, train)
    assert _counts(joined) == [60, 16, 16, 16]
    np.testing.assert_array_equal(joined.images[: len(train)], train.images)
    assert loaded[-1][:2] == ("more noise", "train")
    assert run_data.with_unlabeled_images(CONFIG.data, train) is train


def test_unlabelled_stl10_is_its_unlabelled_split(loaded):
    config = CONFIG.replace(unlabeled_dataset="stl10")
    run_data.with_unlabeled_images(config.data, run.load_training_data(config)[0])
    assert loaded[-1][:2] == ("stl10", "unlabelled")


def test_test_set_is_whole_or_its_first_images(loaded):
    whole = trained.load_test_data(CONFIG)
    first = trained.load_test_data(CONFIG.replace(num_images=5))
    assert len(whole) == 12 and loaded[0][1] == "test"
    np.testing.assert_array_equal(first.images, whole.images[:5])


def _has_splits(monkeypatch, *names):
    """Lets every data set have these splits; returns which were loaded."""
    loaded = []

    def load_dataset(name, split, **settings):
        if split not in names:
            raise MissingSplitError(f"{name} has no {split}", splits=names)
        loaded.append(split)
        return helpers.make_dataset(12, seed=len(split))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return loaded


@pytest.mark.parametrize(
    "names, found",
    [
        (("train", "val"), "val"),
        (("train", "validation"), "validation"),
        (("train", "val", "test"), "test"),
    ],
)
def test_test_split_is_found_where_it_is_called_otherwise(monkeypatch, capsys, names, found):
    loaded = _has_splits(monkeypatch, *names)
    trained.load_test_data(CONFIG)
    assert loaded == [found]
    assert (f"testing on {found} " in capsys.readouterr().out) == (found != "test")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, r"`test_split`: expected a split of noise to test on.*found the splits train$"),
        ({"test_split": "dev"}, r"`test_split`: expected one of the splits of noise: train; found"),
    ],
)
def test_data_set_without_test_split_names_the_flag(monkeypatch, changes, message):
    _has_splits(monkeypatch, "train")
    with pytest.raises(RunError, match=message):
        trained.load_test_data(CONFIG.replace(**changes))


def test_unlabelled_images_may_have_a_split_of_that_name(monkeypatch):
    loaded = _has_splits(monkeypatch, "unlabeled", "test")
    config = CONFIG.replace(unlabeled_dataset="more noise")
    run_data.with_unlabeled_images(config.data, helpers.make_dataset())
    assert loaded == ["unlabeled"]
    _has_splits(monkeypatch, "test")
    with pytest.raises(RunError, match="`unlabeled_dataset=more noise`: expected a split train"):
        run_data.with_unlabeled_images(config.data, helpers.make_dataset())


def test_more_test_images_than_there_are_is_refused(loaded):
    with pytest.raises(RunError, match=r"`num_images`: expected at most the 12 .* found 13"):
        trained.load_test_data(CONFIG.replace(num_images=13))


def test_settings_reach_the_loader(loaded):
    cut = {"resize": "pad", "test_fraction": 0.3, "split_seed": 5}
    changes = {"data_dir": "here", "download": True, "image_size": 16, "cache_dir": "there", **cut}
    trained.load_test_data(CONFIG.replace(memory_limit="2KB", **changes))
    trained.load_test_data(CONFIG)
    settings = [request[2] for request in loaded]
    assert settings[0] == {**changes, "memory_limit": 2000}
    defaults = {"download": False, "resize": "crop", "test_fraction": 0.2, "split_seed": 0}
    assert settings[1] == {**dict.fromkeys(settings[0]), **defaults}


@pytest.mark.parametrize("at_hand, name", [(True, "cifar10"), (False, "bundled")])
def test_auto_takes_cifar10_where_it_is_and_says_so_where_not(monkeypatch, capsys, at_hand, name):
    monkeypatch.setattr(datasets, "is_available", lambda *args, **kwargs: at_hand)
    data = CONFIG.replace(dataset="auto").data
    assert run_data.resolve_dataset_name(data) == name
    said = capsys.readouterr().out
    assert said == "" if at_hand else said.startswith("notice: CIFAR-10 is not available; using")


def test_named_data_set_is_taken_as_it_is(capsys):
    config = CONFIG.replace(dataset="bundled")
    assert run_data.resolve_dataset_name(config.data) == "bundled"
    assert capsys.readouterr().out == ""


def test_auto_with_download_is_cifar10(monkeypatch):
    monkeypatch.setattr(datasets, "is_available", lambda *args, **kwargs: False)
    config = CONFIG.replace(dataset="auto", download=True)
    assert run_data.resolve_dataset_name(config.data) == "cifar10"


def _return(monkeypatch, dataset):
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: dataset)


def test_data_set_without_labels_is_refused(monkeypatch):
    dataset = helpers.make_dataset()
    labels = np.full_like(dataset.labels, -1)
    _return(monkeypatch, dataclasses.replace(dataset, labels=labels, num_classes=0, class_names=()))
    with pytest.raises(RunError, match=r"`dataset=noise`: expected "):
        run.load_training_data(CONFIG)
    with pytest.raises(RunError, match=r"expected labels, which `method=ascl` needs; found none"):
        run.load_training_data(CONFIG.replace(validation_fraction=0.0))


def test_training_on_labels_refuses_a_set_without_any(monkeypatch):
    dataset = helpers.make_dataset(labels=np.full(24, -1))
    _return(monkeypatch, dataset)
    config = CONFIG.replace(method="simclr", validation_fraction=0.0)
    run.load_training_data(config, needs_labels=False)
    with pytest.raises(RunError, match=r"`dataset=noise`: expected labels, which .*; found none"):
        run.load_training_data(config, labeled_only=True)


def test_images_too_small_for_the_encoder_are_refused(monkeypatch):
    dataset = helpers.make_dataset()
    _return(monkeypatch, dataclasses.replace(dataset, images=dataset.images[:, :7]))
    with pytest.raises(RunError, match=r"at least 8 x 8 pixels; found 7 x 8"):
        trained.load_test_data(CONFIG)


def test_unlabeled_images_do_not_fill_the_batches_of_fine_tuning(loaded, tmp_path):
    config = CONFIG.replace(
        unlabeled_dataset="more", num_replicas=1, finetune_global_batch_size=60, lambda_1=1.0
    )
    message = r"`finetune_global_batch_size`: expected .* at most the 48 training images; found 60"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ascl_tf.methods.factory.make_encoder", helpers.make_tiny_encoder)
        with pytest.raises(RunError, match=message):
            run.run_stages(config, cfg.ALL, WorkDirectory(tmp_path))
    assert not list(tmp_path.glob("checkpoints"))


def test_test_images_of_another_size_are_refused_before_the_first_step(monkeypatch, tmp_path):
    small = helpers.make_dataset(12, seed=1)
    large = dataclasses.replace(small, images=small.images.repeat(2, 1).repeat(2, 2))
    sets = {"train": helpers.make_dataset(60), "test": large}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split, **_: sets[split])
    config = CONFIG.replace(method="standard", num_replicas=1)
    message = r"`test_split`: expected images of shape \(8, 8, 3\).*; found \(16, 16, 3\)"
    with pytest.raises(RunError, match=message):
        run.run_stages(config, cfg.ALL, WorkDirectory(tmp_path))
    assert not list(tmp_path.glob("checkpoints"))
    with pytest.raises(RunError, match=message):
        run_data.explain_seen(config.data, config.run, large)


def _with_copies(monkeypatch, num_copies):
    """Lets the test set begin with so many images of the training set."""
    train, test = helpers.make_dataset(60), helpers.make_dataset(12, seed=1)
    copies = train.images[:num_copies]
    images = np.concatenate([copies, test.images[num_copies:]])
    sets = {"train": train, "test": dataclasses.replace(test, images=images)}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split, **settings: sets[split])


def test_test_images_that_training_has_seen_are_counted(monkeypatch):
    _with_copies(monkeypatch, 2)
    line = run_data.explain_seen(CONFIG.data, CONFIG.run, trained.load_test_data(CONFIG))
    assert line.startswith("2 of 12 test images are also among the 60 training images of noise")
    _with_copies(monkeypatch, 0)
    assert run_data.explain_seen(CONFIG.data, CONFIG.run, trained.load_test_data(CONFIG)) == ""


def test_unlabelled_images_were_seen_too(monkeypatch):
    _with_copies(monkeypatch, 2)
    config = CONFIG.replace(unlabeled_dataset="noise")
    line = run_data.explain_seen(config.data, config.run, trained.load_test_data(config))
    assert line.startswith("2 of 12 test images are also among the 120 training images")


def test_without_a_training_split_nothing_is_said_of_it(loaded, monkeypatch):
    test = trained.load_test_data(CONFIG)

    def gone(name, split, **settings):
        raise RunError(field="name", expected="a prepared data set", found="none")

    monkeypatch.setattr(datasets, "load_dataset", gone)
    assert run_data.explain_seen(CONFIG.data, CONFIG.run, test) is None


def test_cutting_the_training_images_again_says_nothing_twice(monkeypatch, capsys):
    labels = np.repeat([0, 1, 2], [40, 40, 3])
    _return(monkeypatch, helpers.make_dataset(len(labels), labels=labels))
    config, test = CONFIG.replace(validation_fraction=0.02), helpers.make_dataset(5, seed=1)
    train, _ = run.load_training_data(config)
    assert "validation images, at least one of each class" in capsys.readouterr().out
    assert run_data.explain_seen(config.data, config.run, test, train.sha256) == ""
    assert capsys.readouterr().out == ""
