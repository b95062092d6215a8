"""The figure of few labels: accuracy over the share of the training images that have a label."""

from ascl_tf.analysis.figure_parts import STYLE, WIDTH, style_of
from tools.reproduction import numbers
from tools.reproduction.few_labels import label_of, share_of

_PANELS = {"pgd20": "robust accuracy, PGD-20 (%)", "standard": "accuracy (%)"}


def curves(document, protocol):
    """Returns label -> [(share, `Value`), ...] by share: of each method and head."""
    by_line = {}
    for record in document["records"]:
        by_line.setdefault((record["row"], record["head"]), []).append(record)
    found = {}
    for (row, head), records in by_line.items():
        name, share = share_of(row)
        for value in numbers.measured(records, protocol).values():
            found.setdefault(label_of(name, head), []).append((share, value))
    return {label: sorted(points) for label, points in found.items()}


def write_shares(document, stem):
    """Writes `<stem>.png` and `.svg`: a curve for each method, the spread over seeds as bars."""
    # Here: what lists steps needs no matplotlib.
    import matplotlib
    from matplotlib.figure import Figure

    from ascl_tf.analysis.figures import save_figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, 7.5), layout="constrained")
        axes = figure.subplots(len(_PANELS), 1, sharex=True)
        found = {protocol: curves(document, protocol) for protocol in _PANELS}
        names = list(dict.fromkeys(name for by_name in found.values() for name in by_name))
        for panel, (protocol, label) in zip(axes, _PANELS.items(), strict=True):
            for name, points in found[protocol].items():
                _draw_curve(panel, names.index(name), name, points)
            panel.set_ylabel(label)
            panel.grid()
        axes[-1].set_xscale("log")
        axes[-1].set_xticks([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
        axes[-1].minorticks_off()
        axes[-1].set_xlabel("training images with a label")
        figure.suptitle("Few labels, at equal compute\nmeans; bars: standard deviation over seeds")
        handles = {}
        for panel in axes:
            handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
        save_figure(figure, stem)


def _draw_curve(panel, index, label, points):
    # Apart from one another, so that bars at one share do not hide each other.
    shares = [share * 1.03 ** (index - 4) for share, _ in points]
    means = [value.mean for _, value in points]
    spreads = [value.spread or 0.0 for _, value in points]
    panel.errorbar(shares, means, yerr=spreads, label=label, ms=5, capsize=2, **style_of(index))
