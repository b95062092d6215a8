"""Writes the tables of docs/performance.md from the benchmarks' records in results/.

python tools/performance_tables.py            rewrites the parts between the markers
python tools/performance_tables.py --check    exits with 1 if they are out of date
"""

import argparse
import json
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from ascl_tf.config.paths import expanded_path  # noqa: E402
from tools.reproduction.numbers import NOT_RUN  # noqa: E402
from tools.results_table import bring_up_to_date, with_table  # noqa: E402

NOT_MEASURED = f"`{NOT_RUN}`: not measured yet."


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--page", type=expanded_path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--results", type=expanded_path, default=ROOT / "results")
    arguments = parser.parse_args(argv)
    bring_up_to_date(
        arguments.page, lambda text: with_tables(text, arguments.results), check=arguments.check
    )


def with_tables(text, results):
    """Returns the page with every table from its record; one without a record says so."""
    for name, make in TABLES.items():
        path = results / f"benchmark_{name.partition(' ')[0]}.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        table = NOT_MEASURED if record is None else make(record)
        text = with_table(text, table, *markers(name))
    return text


def markers(name):
    """Returns the lines between which a table stands."""
    return f"<!-- {name}:begin (written by tools/performance_tables.py) -->", f"<!-- {name}:end -->"


def make_ratios(record):
    """Returns the ratios of a record, and what is to be reached."""
    rows = [[r["ratio"], f"{r['value']:.2f}", _limit(r["to_reach"])] for r in record["ratios"]]
    return _markdown(("ratio of medians", "measured", "at most"), rows)


def make_shares(record):
    """Returns what share of a matrix product's speed the steps reach."""
    shares = record.get("shares_of_the_limit", {}).items()
    rows = [
        [name, f"{s['gflops']:.0f}", f"{s['limit_gflops']:.0f}", f"{s['share']:.2f}"]
        for name, s in shares
    ]
    return _markdown(("what", "GFLOP/s", "of the matrix product", "share"), rows)


def make_parts(record):
    """Returns the passes of a step: how often, and what one takes."""
    rows = [
        [name, str(times), f"{1000 * statistics.median(record['seconds'][name]):.0f}"]
        for name, times in record["parts"].items()
    ]
    return _markdown(("part of a step", "times", "one, ms"), rows)


def make_growth(record):
    """Returns the ratios and straight lines of the benchmark of scaling."""
    limits, rows = record["to_reach"], []
    if "replicas" in record:
        measured = f"{record['replicas']['ratio']:.2f}"
        rows.append(["two replicas over one", measured, _limit(limits["replicas"])])
    ratios_of_memory = record.get("memory", {}).get("ratios", {})
    for batch, ratio in sorted(ratios_of_memory.items(), key=lambda item: int(item[0])):
        what = f"peak memory over kept activations, batch {batch}"
        rows.append([what, f"{ratio:.2f}", _limit(limits["memory"])])
    if "memory" in record:
        further = f"{_of_each_further_image(record['memory']):.2f}"
        rows.append(["memory of each further image over its kept activations", further, ""])
    lines = {"memory over the batch": record.get("memory")}
    lines |= {f"time over {axis}": found for axis, found in record.get("time", {}).items()}
    for what, found in lines.items():
        if found:
            deviation = f"{100 * found['line']['largest_deviation']:.1f} %"
            allowed = f"{100 * limits['largest_deviation']:.0f} %"
            rows.append([f"{what}: largest deviation from a line", deviation, allowed])
    return _markdown(("what", "measured", "at most"), rows)


def _of_each_further_image(memory):
    batch, kept = next(iter(memory["kept_bytes"].items()))
    return memory["line"]["slope"] / (kept / int(batch))


def make_profile(record):
    """Returns what share of a step's operations each family takes."""
    rows = [[name, f"{100 * share:.1f} %"] for name, share in _profile_shares(record)]
    return _markdown(("operations", "share of their time"), rows)


def _profile_shares(record):
    return sorted(record["shares"].items(), key=lambda item: (item[0] == "other", -item[1]))


def make_frontier(record):
    """Returns the accuracies over training time, and their ratios to AT's at equal time."""
    reference = next((m for m in record["models"] if m["label"] == "at"), None)
    rows = []
    for model in record["models"]:
        ratio = record["ratios"][model["label"]]
        ratios = [f"{ratio[name]:.2f}" for name in ("robust", "standard")] if ratio else ["--"] * 2
        best = max(zip(model["robust_accuracies"], model["standard_accuracies"], strict=True))
        epoch = _epoch_seconds(model) / _epoch_seconds(reference) if reference else None
        cost = NOT_RUN if epoch is None else f"{epoch:.2f}"
        counts = [str(model["epochs"][-1]), f"{model['seconds'][-1] / 60:.0f}"]
        rows.append([model["label"], *ratios, *(f"{value:.1f}" for value in best), cost, *counts])
    headings = ("row", "RA over AT's", "SA over AT's", "RA, best epoch", "SA, same epoch")
    return _markdown((*headings, "epoch over AT's", "epochs", "minutes"), rows)


def _epoch_seconds(model):
    return model["seconds"][-1] / model["epochs"][-1]


def make_image_sizes(record):
    """Returns what a pass of an image costs, by network and size."""
    rows = [
        [
            row["network"],
            str(row["size"]),
            f"{1000 * row['seconds_per_pass']:.1f}",
            f"{row['peak_bytes'] / 2**30:.2f}",
        ]
        for row in record["rows"]
    ]
    return _markdown(("network", "pixels", "one pass of an image, ms", "peak memory, GiB"), rows)


def make_pictures(record):
    """Returns what the recipe for own pictures reaches on each set."""
    names = ("standard_accuracy", "robust_accuracy", "nearest_neighbor", "largest_class")
    rows = [
        [row["set"], row["initial_encoder"] or "random weights", row["class_weights"]]
        + [f"`{row['flags']}`" if row["flags"] else "", f"{row['minutes']:g}", str(row["epochs"])]
        + [f"{row[name]:.2f}" for name in names]
        for row in record["rows"]
    ]
    scores = ("SA", "RA", "nearest neighbor", "largest class")
    how = ("starts from", "class weights", "further flags", "--minutes", "epochs")
    headings = ("set", *how, *scores)
    return _markdown(headings, rows)


# Record, and what is shown of it where one record has several tables -> how.
TABLES = {
    "step": make_ratios,
    "step shares": make_shares,
    "step parts": make_parts,
    "pgd": make_ratios,
    "pgd shares": make_shares,
    "pgd_small": make_ratios,
    "pgd_small shares": make_shares,
    "finetune": make_ratios,
    "finetune shares": make_shares,
    "scaling": make_growth,
    "image_sizes": make_image_sizes,
    "pictures": make_pictures,
    "profile": make_profile,
    "profile_bfloat16": make_profile,
    "frontier": make_frontier,
}


def _limit(value):
    return "" if value is None else f"{value:g}"


def _markdown(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
