"""What stands on one pair of axes. Axes come from figures.py; no library for drawing here."""

import numpy as np

from ascl_tf.analysis.figure_parts import CLASS_MARKERS, COLORS, class_name, style_of

# Bins with a smaller share of the images are drawn pale.
PALE_SHARE = 0.01


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
