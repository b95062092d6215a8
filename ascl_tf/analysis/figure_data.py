"""The figures that are measured on models: settings, models and a data set in, a document out.

Each function of `MEASURE` takes (settings, models, dataset, progress) and returns the document
and how many images it saw. `settings` are those of `python -m ascl_tf.analyze`; `models` a
dictionary label -> `ascl_tf.serving.loading.LoadedModel`; `progress` takes (label, done, to do).
"""

from ascl_tf.analysis.calibration import adversarial_images, compare_calibration, logits_of
from ascl_tf.analysis.features import as_unit_images, choose_rows
from ascl_tf.analysis.input_landscape import input_landscape
from ascl_tf.analysis.inversion import compare_inversions
from ascl_tf.analysis.landscape_inputs import landscape_document
from ascl_tf.analysis.predictions import (
    compare_adversarial_examples,
    compare_confusion,
    compare_mistakes,
)
from ascl_tf.analysis.tsne import compare_tsne
from ascl_tf.analysis.weight_landscape import weight_landscape
from ascl_tf.errors import RunError

# Where settings say 0. Images of inversion are those at which components must be alive; 0
# here means all. t-SNE and inversion: the paper's numbers; of the others it gives none.
NUM_IMAGES = {
    "inversion": 500,
    "tsne": 2000,
    "input_landscape": 200,
    "weight_landscape": 500,
    "calibration": 0,
    "confusion": 0,
    "mistakes": 0,
    "adversarial_examples": 8,
}
NUM_POINTS = {"input_landscape": 33, "weight_landscape": 21}
NUM_INVERSION_STEPS = 200


def _measure_inversion(settings, models, dataset, progress):
    count = _num_images(settings, dataset)
    document = compare_inversions(
        _features_of(models),
        dataset.images,
        num_probe_images=count,
        num_steps=settings.num_steps or NUM_INVERSION_STEPS,
        seed=settings.seed,
        batch_size=settings.evaluation_batch_size,
    )
    return document, count


def _measure_tsne(settings, models, dataset, progress):
    count = _num_images(settings, dataset)
    document = compare_tsne(
        _features_of(models),
        dataset.images,
        dataset.labels,
        num_images=count,
        seed=settings.seed,
        batch_size=settings.evaluation_batch_size,
    )
    return document, count


def _measure_input_landscape(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    results = {
        label: input_landscape(
            model.logits_fn,
            images,
            labels,
            grid_size=_num_points(settings),
            seed=settings.seed,
            batch_size=settings.evaluation_batch_size,
            progress=_progress_of(progress, label),
        )
        for label, model in models.items()
    }
    return landscape_document(settings.figure, results), len(labels)


def _measure_weight_landscape(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    results = {
        label: weight_landscape(
            model.logits_fn,
            model.weights,
            images,
            labels,
            num_points=_num_points(settings),
            seed=settings.seed,
            batch_size=settings.evaluation_batch_size,
            progress=_progress_of(progress, label),
            **settings.attack(),
        )
        for label, model in models.items()
    }
    return landscape_document(settings.figure, results), len(labels)


def _measure_calibration(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    document = compare_calibration(_logits(settings, models, images, labels, progress), labels)
    document["parameters"]["attack"] = settings.attack()
    return document, len(labels)


def _measure_confusion(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    document = compare_confusion(_logits(settings, models, images, labels, progress), labels)
    document["parameters"]["attack"] = settings.attack()
    return document, len(labels)


def _measure_mistakes(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    logits = _logits(settings, models, images, labels, progress)
    document = compare_mistakes(logits, images, labels, _rows(settings, dataset))
    document["parameters"]["attack"] = settings.attack()
    return document, len(labels)


def _measure_adversarial_examples(settings, models, dataset, progress):
    images, labels = _chosen_rows(settings, dataset)
    attack, seed, answers = settings.attack(), settings.seed, {}
    for label, model in models.items():
        shown = {"clean": images}
        if attack:
            shown["attacked"] = adversarial_images(
                model.logits_fn, images, labels, attack=attack, seed=seed
            )
        answers[label] = {
            condition: (pixels, logits_of(model.logits_fn, pixels, labels))
            for condition, pixels in shown.items()
        }
        progress(label, len(labels), len(labels))
    document = compare_adversarial_examples(answers, images, labels, _rows(settings, dataset))
    document["parameters"]["attack"] = attack
    return document, len(labels)


def _logits(settings, models, images, labels, progress):
    """Returns label -> condition -> logits [N, C] of all models, without attack and under it."""
    attack = settings.attack()
    conditions = {"clean": None} | ({"attacked": attack} if attack else {})
    return {
        label: {
            condition: logits_of(
                model.logits_fn,
                images,
                labels,
                attack=pgd,
                seed=settings.seed,
                batch_size=settings.evaluation_batch_size,
                progress=_progress_of(progress, f"{label}, {condition}"),
            )
            for condition, pgd in conditions.items()
        }
        for label, model in models.items()
    }


def _features_of(models):
    for label, model in models.items():
        if model.features_fn is None:
            raise RunError(
                field="models",
                value=label,
                expected='a model that says its features (signature "features")',
                found="none",
            )
    return {label: model.features_fn for label, model in models.items()}


def _num_images(settings, dataset):
    own = NUM_IMAGES[settings.figure] or len(dataset.labels)
    return settings.num_images or min(own, len(dataset.labels))


def _num_points(settings):
    return settings.num_points or NUM_POINTS[settings.figure]


def _chosen_rows(settings, dataset):
    """Returns images float32 in [0, 1] and labels, chosen by seed."""
    rows = _rows(settings, dataset)
    return as_unit_images(dataset.images[rows]), dataset.labels[rows]


def _rows(settings, dataset):
    count = _num_images(settings, dataset)
    return choose_rows(len(dataset.labels), count, seed=settings.seed)


def _progress_of(progress, label):
    return lambda num_done, num_to_do: progress(label, num_done, num_to_do)


MEASURE = {
    "inversion": _measure_inversion,
    "tsne": _measure_tsne,
    "input_landscape": _measure_input_landscape,
    "weight_landscape": _measure_weight_landscape,
    "calibration": _measure_calibration,
    "confusion": _measure_confusion,
    "mistakes": _measure_mistakes,
    "adversarial_examples": _measure_adversarial_examples,
}
