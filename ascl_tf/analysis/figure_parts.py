"""How figures look: colors, markers, captions, common scales. Nothing is drawn here."""

import textwrap

import numpy as np

from ascl_tf.process.terminal import encodable

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


def spans_decades(models, field, *, factor=30):
    """Returns whether all numbers are positive and the largest is `factor` times the least."""
    low, high = common_range(models, field)
    return low > 0 and high / low > factor


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
