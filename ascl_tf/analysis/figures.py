"""Figures from the dictionaries that analyses return: the only module that knows matplotlib.

    save_figure(draw(document), "folder/tsne")      # folder/tsne.png and folder/tsne.svg

`pyplot` is not used: no window, no state from figure to figure. Equal documents give equal
bytes with the same versions of matplotlib and its fonts.
"""

import functools
import io
import pathlib
import warnings

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ascl_tf.analysis.figure_parts import (
    STYLE,
    WIDTH,
    bare,
    caption,
    common_range,
    corruption_names,
    draw_answers,
    draw_classes,
    draw_confusion,
    draw_contours,
    draw_curve,
    draw_inversions,
    draw_matrix,
    draw_mistakes,
    draw_reliability,
    draw_surface,
    draw_truth,
    in_255ths,
    inversion_text,
    severity_text,
    shown_name,
    spans_decades,
    style_of,
)
from ascl_tf.process.files import write_whole


def draw(document):
    """Returns the matplotlib figure of a document, by its entry `figure`.

    Raises:
        ValueError: if there is no such figure.
    """
    name = document.get("figure")
    if name not in _DRAW:
        raise ValueError(f"`figure` must be one of {', '.join(_DRAW)}; received {name!r}.")
    return _DRAW[name](_with_shown_names(document))


def _with_shown_names(document):
    """Returns a document whose models and classes are called by names that can be drawn."""
    models = [
        {**model, "label": shown_name(model["label"])} for model in document.get("models", ())
    ]
    names = [shown_name(name) for name in document.get("class_names") or ()]
    return {**document, "models": models, "class_names": names}


def save_figure(figure, stem):
    """Writes `<stem>.png` and `<stem>.svg`, each whole or not at all; returns their paths.

    What `find_undrawable` names is drawn as boxes, without matplotlib's warning of each.

    Raises:
        OSError: as the system raises it.
    """
    paths = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        stream = io.BytesIO()
        with matplotlib.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            figure.savefig(stream, format=kind, metadata=metadata)
        paths.append(pathlib.Path(f"{stem}.{kind}"))
        write_whole(paths[-1], functools.partial(_copy, stream.getvalue()))
    return paths


def find_undrawable(figure):
    """Returns the characters in a figure's texts that its font lacks, each once, sorted."""
    missing = set()
    for text in figure.findobj(Text):
        known = get_font(findfont(text.get_fontproperties())).get_char_index
        missing.update(c for c in text.get_text() if c != "\n" and not known(ord(c)))
    return sorted(missing)


def _copy(content, file):
    file.write(content)


def _styled(function):
    """Lets a function draw in our style, whatever the settings of its caller."""

    @functools.wraps(function)
    def drawn(document):
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return function(document)

    return drawn


@_styled
def draw_corruptions(document):
    """Returns the figure of accuracy by corruption (`curves.corruption_document`)."""
    names = [*corruption_names(document), "mean"]
    figure, (axes,) = _panels(1, 1, height=0.31 * len(names) + 1.9)
    rows = np.arange(len(names))[::-1]
    values = [[*model["accuracies"], model["mean_accuracy"]] for model in document["models"]]
    axes.hlines(rows, np.min(values, axis=0), np.max(values, axis=0), color="#BBBBBB", lw=1)
    for i, (model, accuracies) in enumerate(zip(document["models"], values, strict=True)):
        axes.plot(accuracies, rows, ls="", ms=6.5, label=model["label"], **style_of(i))
    axes.axhline(0.5, color="#888888", lw=0.8)
    axes.set_yticks(rows, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("accuracy (%)")
    axes.grid(axis="x")
    severities = document["models"][0]["severities"]
    _finish(figure, document, f"Accuracy by corruption, {severity_text(severities)}", axes)
    return figure


@_styled
def draw_inversion(document):
    """Returns the grid of images that raise single features (`inversion.compare_inversions`)."""
    models, components = document["models"], document["components"]
    num_seeds, num_columns = len(document["seed_images"]), len(components) + 1
    height = (num_seeds * WIDTH / num_columns + 0.5) * len(models) + 0.6
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    blocks = np.atleast_1d(figure.subfigures(len(models), 1))
    for block, model in zip(blocks, models, strict=True):
        axes = block.subplots(num_seeds, num_columns, squeeze=False)
        block.suptitle(model["label"], fontweight="bold")
        draw_inversions(axes, document, model)
    _title(figure, {}, inversion_text(document))
    return figure


@_styled
def draw_tsne(document):
    """Returns the t-SNE panels (`tsne.compare_tsne`)."""
    models, labels = document["models"], np.asarray(document["labels"])
    num_columns = min(2, len(models))
    num_rows = -(-len(models) // num_columns)
    figure, panels = _panels(num_rows, num_columns, height=3.45 * num_rows + 1.3)
    names = document.get("class_names") or ()
    for axes, model in zip(panels, models, strict=False):
        draw_classes(axes, np.asarray(model["points"]), labels, names)
        bare(axes)
        axes.set_title(
            f"{model['label']}\nsilhouette {model['silhouette_features']:.2f}, "
            f"{document['parameters']['num_neighbors']}-NN {model['neighbor_accuracy']:.1f} %"
        )
    for axes in panels[len(models) :]:
        axes.set_axis_off()
    _finish(figure, document, "t-SNE of penultimate features", panels[0], markerscale=2.2)
    return figure


@_styled
def draw_input_landscape(document):
    """Returns surface and contours of the input landscape of each model, on one scale."""
    models = document["models"]
    low, high = common_range(models, "mean_loss")
    levels = np.linspace(low, high, 21)
    figure = Figure(figsize=(WIDTH, 2.6 * len(models) + 1.5), layout="constrained")
    contour_axes, last = [], None
    for i, model in enumerate(models):
        adversarial, random = (
            in_255ths(model[f"{name}_offsets"]) for name in ("adversarial", "random")
        )
        loss = np.asarray(model["mean_loss"])
        surface = figure.add_subplot(len(models), 2, 2 * i + 1, projection="3d")
        draw_surface(surface, adversarial, random, loss, (low, high))
        contours = figure.add_subplot(len(models), 2, 2 * i + 2)
        last = draw_contours(contours, adversarial, random, loss, levels)
        contours.set_title(f"{model['label']}: {model['centre_loss']:.2f} at the data")
        contour_axes.append(contours)
    contour_axes[-1].set_xlabel("adversarial (1/255)")
    figure.colorbar(
        last,
        ax=figure.axes,
        location="bottom",
        shrink=0.7,
        aspect=35,
        label="loss (nats), as height and as color",
    ).locator = MaxNLocator(6)
    _title(figure, document, "Input loss landscape: mean cross-entropy, all on one scale")
    return figure


@_styled
def draw_weight_landscape(document):
    """Returns the curves of the weight landscape of several models."""
    models = document["models"]
    figure, (axes,) = _panels(1, 1, height=4.6)
    for i, model in enumerate(models):
        draw_curve(axes, i, model["label"], model["offsets"], model["losses"])
    axes.set_xlabel("offset along the filter-normalized direction (1 = length of the weights)")
    scale = ""
    if spans_decades(models, "losses"):
        scale = ", logarithmic"
        _logarithmic(axes)
    axes.set_ylabel(f"adversarial loss (nats{scale})")
    axes.grid()
    parameters = document["parameters"]
    radius = _in_255ths(parameters)
    text = f"Weight loss landscape: PGD-{parameters['num_steps']} at every point, radius {radius}"
    _finish(figure, document, text, axes)
    return figure


@_styled
def draw_sweeps(document):
    """Returns robust accuracy over steps and over radius (`curves.sweep_document`)."""
    models = document["models"]
    shown = [name for name in _SWEEP_AXES if any(name in m["curves"] for m in models)]
    figure, panels = _panels(len(shown), 1, height=3.1 * len(shown) + 1.2)
    for axes, name in zip(panels, shown, strict=True):
        drawn = [(i, model) for i, model in enumerate(models) if name in model["curves"]]
        for i, model in drawn:
            curve = model["curves"][name]
            draw_curve(axes, i, model["label"], curve["positions"], curve["robust_accuracies"])
        axes.set_xlabel(_SWEEP_AXES[name].format(**drawn[0][1]["curves"][name]["attack"]))
        axes.set_ylabel("robust accuracy (%)")
        axes.set_ylim(bottom=0)
        axes.grid()
    _finish(figure, document, "Robust accuracy against stronger PGD", panels[0])
    return figure


@_styled
def draw_calibration(document):
    """Returns reliability diagrams (`calibration.compare_calibration`)."""
    models = document["models"]
    conditions = list(dict.fromkeys(c for model in models for c in model["conditions"]))
    # Two columns either way: conditions side by side, or a single one model by model.
    cells = [(model, c) for model in models for c in conditions if c in model["conditions"]]
    num_columns = min(2, len(cells))
    num_rows = -(-len(cells) // num_columns)
    figure, panels = _panels(num_rows, num_columns, height=3.2 * num_rows + 0.8)
    for axes, (model, condition) in zip(panels, cells, strict=False):
        draw_reliability(axes, model["conditions"][condition])
        error = model["conditions"][condition]["expected_calibration_error"]
        axes.set_title(f"{model['label']}, {condition}\nECE {error:.1f} %")
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for axes in panels[: len(cells)][-num_columns:]:
        axes.set_xlabel("confidence (%)")
    for axes in panels[: len(cells) : num_columns]:
        axes.set_ylabel("accuracy (%)")
    text = "Reliability: accuracy (bars; pale: under 1 % of the images) and mean confidence (marks)"
    _title(figure, document, text)
    return figure


@_styled
def draw_confusion_matrices(document):
    """Returns a confusion matrix per model and condition (`predictions.compare_confusion`)."""
    cells = _cells(document)
    num_columns = min(2, len(cells))
    num_rows = -(-len(cells) // num_columns)
    figure, panels = _panels(num_rows, num_columns, height=(7.6 / num_columns) * num_rows + 0.9)
    for axes, (model, condition, found) in zip(panels, cells, strict=False):
        draw_confusion(axes, found["matrix"], document.get("class_names") or ())
        axes.set_title(f"{model['label']}, {condition}\n{found['accuracy']:.2f} % right")
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    _title(figure, document, "Confusion: images of a class (rows), by what they are taken for")
    return figure


@_styled
def draw_mistake_sheets(document):
    """Returns the worst mistakes of each model and condition (`predictions.compare_mistakes`)."""
    cells = _cells(document)
    num_rows = [max(1, -(-len(found["worst"]) // _SHEET_COLUMNS)) for _, _, found in cells]
    heights = [1.55 * rows + 0.5 for rows in num_rows]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.7), layout="constrained")
    blocks = np.atleast_1d(figure.subfigures(len(cells), 1, height_ratios=heights))
    for block, rows, (model, condition, found) in zip(blocks, num_rows, cells, strict=True):
        axes = block.subplots(rows, _SHEET_COLUMNS, squeeze=False)
        draw_mistakes(list(axes.flat), found, document.get("class_names") or ())
        count = found["num_mistakes"]
        text = f"{count:,} {'mistake' if count == 1 else 'mistakes'}" if count else "no mistakes"
        block.suptitle(f"{model['label']}, {condition}: {text}", fontweight="bold")
    text = "The mistakes that a model is surest of; shown without attack"
    _title(figure, document, text)
    return figure


@_styled
def draw_adversarial_examples(document):
    """Returns a few images, attacked on each model (`predictions.compare_adversarial_examples`)."""
    images, names = document["images"], document.get("class_names") or ()
    labels, cells = [image["label"] for image in images], _cells(document)
    side = min(WIDTH / len(images), 2.0)
    figure = Figure(figsize=(WIDTH, (1 + len(cells)) * (side + 0.3) + 0.9), layout="constrained")
    grid = figure.subplots(1 + len(cells), len(images), squeeze=False)
    draw_truth(grid[0], images, names)
    grid[0][0].set_ylabel("the image", fontsize=9)
    for row, (model, condition, answers) in zip(grid[1:], cells, strict=True):
        draw_answers(row, answers, labels, names)
        row[0].set_ylabel(f"{model['label']},\n{condition}", fontsize=9)
    attack = document["parameters"]["attack"]
    under = "" if attack is None else f", PGD-{attack['num_steps']} of {_in_255ths(attack)}"
    _title(figure, document, f"What each model takes an image for{under}")
    return figure


def _in_255ths(attack):
    return f"{255 * attack['epsilon']:g}/255"


def _cells(document):
    """Returns (model, condition, what was found) of all models and conditions, in order."""
    return [(m, name, found) for m in document["models"] for name, found in m["conditions"].items()]


@_styled
def draw_transfer(document):
    """Returns the heat map of a transfer matrix (`evaluation.black_box.matrix_of`)."""
    figure, (axes,) = _panels(1, 1, height=0.62 * len(document["targets"]) + 2.2)
    draw_matrix(axes, document)
    _title(figure, document, "Black-box robust accuracy (%)")
    return figure


_SWEEP_AXES = {
    "sweep_steps": "PGD steps (radius {epsilon}, step {step_size})",
    "sweep_epsilon": "radius (1/255; {num_steps} steps of {step_size})",
}
_SHEET_COLUMNS = 6
_DRAW = {
    "corruptions": draw_corruptions,
    "inversion": draw_inversion,
    "tsne": draw_tsne,
    "input_landscape": draw_input_landscape,
    "weight_landscape": draw_weight_landscape,
    "sweeps": draw_sweeps,
    "calibration": draw_calibration,
    "confusion": draw_confusion_matrices,
    "mistakes": draw_mistake_sheets,
    "adversarial_examples": draw_adversarial_examples,
    "transfer": draw_transfer,
}


def _panels(num_rows, num_columns, *, height):
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(num_rows, num_columns, squeeze=False).flat)


def _title(figure, document, text):
    figure.suptitle(caption(document, text))


def _finish(figure, document, text, axes, **legend):
    """Puts the title above and one legend for all panels below."""
    _title(figure, document, text)
    handles, labels = axes.get_legend_handles_labels()
    num_columns = 4 if max(map(len, labels)) < 12 else 2
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(num_columns, len(labels)),
        frameon=False,
        **legend,
    )


def _logarithmic(axes):
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
