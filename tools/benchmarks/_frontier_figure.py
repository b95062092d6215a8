"""The figure of `frontier`: robust and standard accuracy over the time of training alone."""

import matplotlib
from matplotlib.figure import Figure
from scipy import stats

from ascl_tf.analysis.figure_parts import STYLE, WIDTH, draw_curve
from ascl_tf.analysis.figures import save_figure

PANELS = {"robust_accuracies": "robust accuracy (%)", "standard_accuracies": "accuracy (%)"}


def draw_frontier(document, stem):
    """Writes `<stem>.png` and `<stem>.svg`; returns their paths.

    Args:
        document: the record: `models` with label, seconds, both accuracies and the number of images
            that these are of, whose 95 % interval is shaded.
        stem: path without suffix.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, 7.0), layout="constrained")
        axes = figure.subplots(len(PANELS), 1, sharex=True)
        for panel, (field, label) in zip(axes, PANELS.items(), strict=True):
            for i, model in enumerate(document["models"]):
                minutes = [seconds / 60 for seconds in model["seconds"]]
                draw_curve(panel, i, model["label"], minutes, model[field])
                count = model["num_validation_images"]
                bands = [_interval(accuracy, count) for accuracy in model[field]]
                color = panel.lines[-1].get_color()
                panel.fill_between(
                    minutes, *zip(*bands, strict=True), color=color, alpha=0.12, lw=0
                )
            panel.set_ylabel(label)
            panel.grid()
        axes[-1].set_xlabel("time of the training steps alone (minutes)")
        first = document["models"][0]
        figure.suptitle(
            f"Accuracy over training time\nwidth {document['width']}, {document['precision']}, "
            f"{first['num_images']:,} images of {first['data_set']}"
        )
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        return save_figure(figure, stem)


def _interval(accuracy, num_images):
    """Returns the bounds of Wilson's 95 % interval of an accuracy; all in percent."""
    correct = round(accuracy * num_images / 100)
    low, high = stats.binomtest(correct, num_images).proportion_ci(method="wilson")
    return 100 * low, 100 * high
