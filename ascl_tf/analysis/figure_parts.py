"""How figures look, and what stands on one pair of axes; axes come from figures.py.

No library for drawing is imported here.
"""

import base64
import io
import textwrap

import numpy as np
from PIL import Image

from ascl_tf.process.terminal import encodable

# Of the colors below, dark enough for text on white.
_RIGHT, _WRONG = "#00664B", "#A84300"
# Bins with a smaller share of the images are drawn pale.
PALE_SHARE = 0.01

# Okabe and Ito 2008: eight colors that color-blind readers tell apart.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8C6D31",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Classes have a color and a marker, so that twenty pairs differ without any new color.
CLASS_MARKERS = ("o", "^", "s", "x")

# A matrix of more classes is drawn without numbers and names.
MOST_NAMED = 20
_LONGEST_NAME = 13

WIDTH = 6.0  # inches
DPI = 160

STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 10,
    "figure.titlesize": 11.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "savefig.dpi": DPI,
    # Labels are names that a user chose: a dollar sign in one is a dollar sign.
    "text.parse_math": False,
    # Equal data give equal bytes.
    "svg.hashsalt": "ascl_tf",
}


def shown_name(name):
    """Returns a name that a user chose as it can be drawn and written."""
    # matplotlib leaves names that begin with an underscore out of its legends.
    return encodable(f" {name}" if name.startswith("_") else name)


def style_of(index):
    """Returns color and marker of the curve at `index`.

    A ninth has the color of the first, and a hollow marker of another shape.
    """
    turn, place = divmod(index, len(COLORS))
    style = {"color": COLORS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}
    return style | ({"markerfacecolor": "white"} if turn % 2 else {})


def caption(document, text):
    """Returns a title: what is shown, and of how many images of which data set."""
    lines = textwrap.wrap(text, 64)
    count, data_set = document.get("num_images"), document.get("data_set")
    if count:
        noun = "image" if count == 1 else "images"
        lines.append(f"{count:,} {noun}" + (f" of {data_set}" if data_set else ""))
    return "\n".join(lines)


def common_range(models, field):
    """Returns (lowest, highest) of the numbers under `field` of all models, lowest < highest."""
    values = np.concatenate([np.ravel(model[field]) for model in models])
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1e-6)


def spans_decades(models, field):
    """Returns whether all numbers are positive and the largest is over 30 times the least."""
    low, high = common_range(models, field)
    return low > 0 and high / low > 30


def in_255ths(values):
    """Returns offsets in pixel units as multiples of 1/255."""
    return 255 * np.asarray(values, np.float64)


def severity_text(severities):
    """Returns which severities (ints, ascending) a number is the mean of."""
    if len(severities) == 1:
        return f"severity {severities[0]}"
    return f"mean of severities {severities[0]} to {severities[-1]}"


def inversion_text(document):
    """Returns the title of an inversion figure."""
    seeds = ", ".join(
        f"{document['seed_kinds'].count(kind)} {kind}"
        for kind in dict.fromkeys(document["seed_kinds"])
    )
    data_set = document.get("data_set")
    source = f" of {data_set}" if data_set else ""
    steps = document["parameters"]["num_steps"]
    return f"Feature inversion: {steps} steps from {seeds} seeds{source}; columns are components"


def corruption_names(document):
    """Returns how the corruptions are written; frost without its photographs says so."""
    has_substitute = any(
        "procedural" in name for model in document["models"] for name in model["frost_textures"]
    )
    names = [name.replace("_", " ") for name in document["corruptions"]]
    return [f"{n} (substitute)" if n == "frost" and has_substitute else n for n in names]


def class_name(label, names):
    """Returns how a class (int) is written, `names` being what the data set calls its classes."""
    name = str(names[label] if label < len(names) else label)
    return f"class {name}" if name.isdigit() else name


def bare(axes):
    """Takes ticks and frame away."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def draw_curve(axes, index, label, positions, values):
    """Draws the curve at `index` of a figure, with about ten markers however many points."""
    every = max(1, len(positions) // 10)
    axes.plot(positions, values, markevery=every, ms=5, label=label, **style_of(index))


def draw_surface(axes, adversarial, random, loss, limits):
    """Draws loss [G, G] over the two offsets (in 1/255) on 3D axes, `limits` being the scale."""
    across, along = np.meshgrid(random, adversarial)
    axes.plot_surface(
        along,
        across,
        loss,
        cmap="cividis",
        vmin=limits[0],
        vmax=limits[1],
        rcount=33,
        ccount=33,
        linewidth=0.15,
        edgecolor="#00000030",
        rasterized=True,
    )
    axes.set_zlim(*limits)
    axes.view_init(elev=24, azim=-128)
    axes.set_xlabel("adversarial", labelpad=-4)
    axes.set_ylabel("random", labelpad=-4)
    axes.set_xticks(_three_ticks(adversarial))
    axes.set_yticks(_three_ticks(random))
    axes.locator_params(axis="z", nbins=4)
    axes.tick_params(pad=-1, labelsize=8.5)


def draw_contours(axes, adversarial, random, loss, levels):
    """Draws loss [G, G] as filled contours, with a cross at the data; returns the contours."""
    contours = axes.contourf(adversarial, random, loss.T, levels=levels, cmap="cividis")
    axes.plot(0, 0, marker="+", color="white", ms=9, mew=1.6)
    axes.set_aspect("equal")
    axes.set_xticks(_three_ticks(adversarial))
    axes.set_yticks(_three_ticks(random))
    axes.set_ylabel("random (1/255)")
    return contours


def draw_classes(axes, points, labels, names):
    """Draws points [N, 2], each class (int [N]) in a color and marker of its own."""
    for i, label in enumerate(np.unique(labels)):
        axes.scatter(
            *points[labels == label].T,
            s=9,
            marker=CLASS_MARKERS[(i // len(COLORS)) % len(CLASS_MARKERS)],
            color=COLORS[i % len(COLORS)],
            linewidths=0.6,
            alpha=0.8,
            label=class_name(label, names),
            rasterized=True,
        )


def draw_inversions(axes, document, model):
    """Draws a row per seed on axes [S, 1 + K]: the seed, then one image per component."""
    starts = zip(axes, document["seed_images"], document["seed_kinds"], strict=True)
    for (row, start, kind), images in zip(starts, model["images"], strict=True):
        for axis, image in zip(row, [start, *images], strict=True):
            axis.imshow(np.clip(image, 0, 1), interpolation="nearest")
            bare(axis)
        row[0].set_ylabel(kind)
    axes[0, 0].set_title("seed")
    for axis, component in zip(axes[0, 1:], document["components"], strict=True):
        axis.set_title(f"no. {component}")


def draw_reliability(axes, result):
    """Draws the result of `calibration.expected_calibration_error`: bars, marks, the diagonal."""
    edges = np.asarray(result["bin_edges"], float)
    accuracies = np.array(result["bin_accuracies"], float)
    confidences = np.array(result["bin_confidences"], float)
    # A bin of few images says little, and looks like it.
    is_pale = np.asarray(result["bin_counts"]) < PALE_SHARE * result["num_images"]
    for rows, opacity in ((~is_pale, 1.0), (is_pale, 0.3)):
        axes.bar(
            edges[:-1][rows],
            np.nan_to_num(accuracies[rows]),
            width=np.diff(edges)[rows],
            align="edge",
            linewidth=0.6,
            color=COLORS[0],
            edgecolor="white",
            alpha=opacity,
        )
    axes.plot(confidences, confidences, ls="", marker="_", ms=9, mew=2, color=COLORS[1])
    axes.plot([0, 100], [0, 100], color=COLORS[6], lw=1, ls="--")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")


def draw_confusion(axes, matrix, names):
    """Draws counts [true][predicted], colored by the share of the true class.

    Numbers and names stand there for up to `MOST_NAMED` classes.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("taken for")
    if len(counts) > MOST_NAMED:
        return
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] < 0.45 else "black"
            size = 10 if len(counts) <= 6 else 6.5
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=size)
    known = [shortened(class_name(label, names)) for label in range(len(counts))]
    axes.set_xticks(range(len(counts)), known, rotation=90)
    axes.set_yticks(range(len(counts)), known)
    axes.tick_params(length=0, labelsize=9.5 if len(counts) <= 10 else 7)


def draw_mistakes(axes, found, names):
    """Draws the worst mistakes on a row of axes, each with what it is and is taken for."""
    for axis in axes:
        axis.set_axis_off()
    for axis, mistake in zip(axes, found["worst"], strict=False):
        _draw_png(axis, mistake["image_png"])
        true, predicted = (
            shortened(class_name(mistake[key], names)) for key in ("label", "predicted")
        )
        text = f"{true}\n\N{RIGHTWARDS ARROW} {predicted}\n{mistake['confidence']:.0f} %"
        axis.set_title(text, fontsize=8)


def draw_answers(axes, answers, labels, names):
    """Draws pictures on a row of axes, each with what it is taken for: right, or wrong."""
    for axis, answer, label in zip(axes, answers, labels, strict=True):
        _draw_png(axis, answer["image_png"])
        bare(axis)
        is_right = answer["predicted"] == label
        # A mark beside the color, for print.
        mark = "\N{CHECK MARK}" if is_right else "\N{MULTIPLICATION X}"
        name = shortened(class_name(answer["predicted"], names))
        text = f"{mark} {name}\n{answer['confidence']:.0f} %"
        axis.set_title(text, fontsize=_small(axes), color=_RIGHT if is_right else _WRONG)


def draw_truth(axes, images, names):
    """Draws pictures on a row of axes, each with what it is."""
    for axis, image in zip(axes, images, strict=True):
        _draw_png(axis, image["image_png"])
        bare(axis)
        axis.set_title(shortened(class_name(image["label"], names)), fontsize=_small(axes))


def _small(axes):
    """Returns the size of letters above pictures in a row, of which neighbors must not touch."""
    return min(8.0, 58 / len(axes))


def _draw_png(axis, text):
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        axis.imshow(np.asarray(image), interpolation="nearest")


def shortened(name):
    """Returns a name cut to what fits below a small picture."""
    return (
        name
        if len(name) <= _LONGEST_NAME
        else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    )


def draw_matrix(axes, document):
    """Draws percentages [targets][sources] as a heat map with its numbers; None is a dash."""
    values = np.array(document["values"], float)  # None becomes NaN.
    axes.imshow(np.ma.masked_invalid(values), cmap="cividis", aspect="auto", vmin=0, vmax=100)
    for (row, column), value in np.ndenumerate(values):
        text = "\N{EN DASH}" if np.isnan(value) else f"{value:.2f}"
        # Where black and white are equally far from the color of the cell.
        color = "white" if value < 45 else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=12)
    axes.set_xticks(range(len(document["sources"])), document["sources"])
    axes.set_yticks(range(len(document["targets"])), document["targets"])
    axes.set_xlabel("source: the examples are made on it")
    axes.set_ylabel("target: attacked")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _three_ticks(offsets):
    return [float(f"{offset:.3g}") for offset in (offsets[0], 0, offsets[-1])]
