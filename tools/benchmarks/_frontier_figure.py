"""The figure of `frontier`: robust and standard accuracy over the time of training alone."""

import matplotlib
from matplotlib.figure import Figure

from ascl_tf.analysis.figure_parts import STYLE, WIDTH, draw_curve
from ascl_tf.analysis.figures import save_figure

PANELS = {"robust_accuracies": "robust accuracy (%)", "standard_accuracies": "accuracy (%)"}


def draw_frontier(document, stem):
    """Writes `<stem>.png` and `<stem>.svg`; returns their paths.

    Args:
        document: the record: `clock`, and `models` with label, seconds and both accuracies.
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
            panel.set_ylabel(label)
            panel.grid()
        axes[-1].set_xlabel(f"{document['clock']} time of training alone (minutes)")
        first = document["models"][0]
        figure.suptitle(
            f"Accuracy over training time\nwidth {document['width']}, {document['precision']}, "
            f"{first['num_images']:,} images of {first['data_set']}"
        )
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        return save_figure(figure, stem)
