"""What a program that measures loads first, with messages that name its flags."""

import numpy as np
import tensorflow as tf
from rich.console import Console

from ascl_tf.attacks.logits import as_logits_function, check_differentiable, make_logits_function
from ascl_tf.attacks.model_checks import spread_rows
from ascl_tf.config.sections import read_memory_limit
from ascl_tf.data.class_order import compare_classes
from ascl_tf.data.datasets import AUTO, TEST, TEST_SPLITS, load_dataset, name_at_hand
from ascl_tf.errors import MissingSplitError, RunError, renamed
from ascl_tf.evaluation import checks
from ascl_tf.evaluation.checks import explain_overlap
from ascl_tf.evaluation.evaluation_data import as_evaluation_data, as_unit_float, check_labels_fit
from ascl_tf.process.terminal import encodable
from ascl_tf.program.messages import reason, refused
from ascl_tf.serving.card import read_card
from ascl_tf.serving.loading import image_spec


def load_images(config, *, needs_labels=True):
    """Returns the data set that a program's flags name.

    Args:
        config: has `dataset`, `split`, `data_dir`, `download`, `image_size`, `resize`,
            `test_fraction`, `split_seed`, `memory_limit`, `cache_dir`, `num_images`.
        needs_labels: False where nothing looks at them.

    Raises:
        RunError: if it is not there, lacks needed labels, or has fewer than `num_images` images.
    """
    dataset = _load_named_split(config)
    if needs_labels and (dataset.labels < 0).any():
        raise RunError(
            f"--dataset={config.dataset}: expected labels in the split {_asked_split(config)}; "
            "found images without"
        )
    if config.num_images > len(dataset.labels):
        raise RunError(
            f"--num_images: expected at most the {len(dataset.labels)} images of "
            f"{dataset.name}; found {config.num_images}"
        )
    return dataset


def explain_seen(config, dataset):
    """Returns what is suspicious about the images that count: some were seen in training.

    Args:
        config: as above, with `training_split`.
        dataset: what `load_images` has returned.

    Returns:
        One line, empty if all is well; None where there is no training split to look at.
    """
    if not config.training_split:
        return None
    try:
        training = _load(config, config.training_split)
    except RunError:
        # Many data sets have none; what is measured needs none.
        return None
    return explain_overlap(dataset.take(slice(config.num_images or None)), training)


def _load_named_split(config):
    """Returns the split that `--split` names; for auto the one that is there to test on."""
    try:
        return _load(config, _asked_split(config))
    except MissingSplitError as missing:
        others = [name for name in TEST_SPLITS if name in missing.splits]
        if config.split != AUTO or not others:
            raise RunError(
                f"--split: expected one of the splits of {config.dataset}: "
                f"{', '.join(missing.splits)}; found {_asked_split(config)}"
            ) from None
    print(
        f"notice: no split {TEST}; measuring on {others[0]} (--split selects another)", flush=True
    )
    return _load(config, others[0])


def _asked_split(config):
    return TEST if config.split == AUTO else config.split


def _load(config, split):
    data_dir = config.data_dir or None
    with renamed(name="dataset"):
        return load_dataset(
            name_at_hand(config.dataset, data_dir=data_dir, download=config.download),
            split,
            data_dir=data_dir,
            download=config.download,
            image_size=config.image_size or None,
            resize=config.resize,
            test_fraction=config.test_fraction,
            split_seed=config.split_seed,
            memory_limit=read_memory_limit(config.memory_limit),
            cache_dir=config.cache_dir or None,
        )


def check_classes(path, dataset, named):
    """Compares the classes of a data set with those on the card beside a model, if there is one.

    Of other names a line says so: what the one calls a car may be the other's automobile.

    Args:
        path: of the model.
        dataset: `ImageDataset`.
        named: how the command line names the model, such as `--model=path`.

    Raises:
        RunError: if a class of the model has another number in the data set.
    """
    try:
        card = read_card(path)
    except RunError:
        return  # What others keep under that name says nothing here.
    place = f"{named} on {dataset.name}"
    found = [encodable(name) for name in dataset.class_names or ()]
    told = compare_classes(card["class_names"] if card else [], found, place=place)
    if told:
        print(f"notice: {place}: {told}", flush=True)


def check_fit(classifier, dataset, named, *, num_images=0, needs_gradient=False):
    """Tries a model on images, so that a misfit is one line and not a traceback.

    What is suspicious about its output is printed at once, and not only after hours of attacks.

    Args:
        classifier: as `evaluate_robustness` takes it.
        dataset: `ascl_tf.data.image_dataset.ImageDataset`.
        named: how the command line names the model, such as `--model=path`.
        num_images: so many of the first images are measured; 0: all.
        needs_gradient: whether what is measured follows the model's gradient.

    Returns:
        What `checks.check_model` has found.

    Raises:
        RunError: that begins with `named`, if the model returns no logits, or lacks a gradient
            that is needed, or if images or labels are not as `as_evaluation_data` wants them, or
            not what the model can answer.
    """
    try:
        make_logits_function(classifier)(tf.constant(as_unit_float(dataset.images[:1])))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise _misfit(classifier, dataset, named, error) from error
    if needs_gradient:
        _check_gradient(classifier, tf.constant(as_unit_float(dataset.images[:1])), named)
    with refused(f"{named} on {dataset.name}"):
        data = as_evaluation_data(dataset, allow_unlabeled=True)
    try:
        outcomes = checks.check_model(
            classifier, data.images, data.labels, num_classes=data.num_classes
        )
    except tf.errors.ResourceExhaustedError:
        # Measured in smaller batches the model may fit all the same.
        return {}
    except tf.errors.OpError as error:
        raise _misfit(classifier, dataset, named, error) from error
    _print_warnings(named, outcomes)
    _check_answers(classifier, data, num_images or None, f"{named} on {dataset.name}")
    return outcomes


def _check_gradient(classifier, images, named):
    """Raises RunError if the logits have no gradient with respect to the images."""
    try:
        check_differentiable(as_logits_function(classifier), images)
    except (ValueError, LookupError) as error:  # LookupError: an operation without one.
        expected = "expected logits that have a gradient by the images"
        raise RunError(f"{named}: {expected}; found none") from error


def _check_answers(classifier, data, num_images, named):
    """Raises RunError if a model has no logit for a label that counts, or answers NaN."""
    measured = data.labels[:num_images]
    images, _ = data.rows(spread_rows(measured))
    logits = make_logits_function(classifier)(tf.constant(images)).numpy()
    with refused(named):
        check_labels_fit(measured, logits.shape[1])
    if not np.all(np.isfinite(logits)):
        raise RunError(f"{named}: expected finite logits; the model returned NaN or inf")


def _print_warnings(named, outcomes):
    console = Console()
    for name, message in outcomes.items():
        if message:
            line = f"warning: {named}: {name}: {message}"
            console.print(line, markup=False, soft_wrap=True, highlight=False)


def _misfit(classifier, dataset, named, error):
    """Returns the RunError of a model that `error` keeps from these images."""
    image_shape = tuple(dataset.images.shape[1:])
    expected = f"{named}: expected logits for float32 images of shape {image_shape}"
    spec = image_spec(classifier)
    if spec is not None and not spec.shape[1:].is_compatible_with(image_shape):
        wanted = tuple(spec.shape[1:])
        advice = _how_to_fit(wanted, image_shape)
        return RunError(f"{expected}; found a model for images of shape {wanted}: {advice}")
    return RunError(f"{expected}; found {type(error).__name__}: {reason(error)}")


def _how_to_fit(wanted, found):
    """Returns what to do about images of another shape (tuples without the batch)."""
    num_channels = found[2]
    if len(wanted) == 3 and wanted[2] in (None, num_channels):
        sizes = set(wanted[:2]) - {None}
        if len(sizes) == 1:
            return f"--image_size={sizes.pop()} resizes the images"
        return "--image_size makes square images only, so that this model cannot be measured"
    if len(wanted) == 3 and wanted[0] == num_channels:
        return (
            "its channels come first; export it with channels last (--image_size changes height "
            "and width only)"
        )
    return "--image_size changes height and width only"
