"""What an evaluation shows on the screen: progress while it runs, a table at the end."""

import contextlib

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from ascl_tf.evaluation.black_box import matrix_of
from ascl_tf.evaluation.per_class import PER_CLASS
from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS, SWEEP_STEPS
from ascl_tf.process.bars import make_bars

# Of a sweep over steps; the record file holds them all.
_SHOWN_STEPS = (0, 1, 2, 5, 10, 20, 50, 100)
# Columns of a terminal below which a table of records has no radius and no seconds.
_NARROW = 60
# Of more classes than that, so many of either end are shown.
_MOST_CLASSES, _SHOWN_CLASSES = 20, 5


@contextlib.contextmanager
def evaluation_progress(console, title=""):
    """Yields a callable (protocol, images done, images to do) that draws a bar per protocol.

    `note=` is shown beside the name.
    """
    with make_bars(console) as bars:
        tasks = {}

        def advance(protocol, num_done, num_to_do, note=""):
            if protocol not in tasks:
                tasks[protocol] = bars.add_task(protocol, total=num_to_do)
            text = f"{title}{protocol}" + (f" ({note})" if note else "")
            bars.update(tasks[protocol], completed=num_done, total=num_to_do, description=text)

        yield advance


def print_summary(records, console, num_classes):
    """Prints the records of one evaluation: a table of numbers, or a matrix.

    Args:
        records: list of them.
        console: rich's.
        num_classes: of the data set; None: not known.
    """
    if "target" in records[0]:
        _print_matrix(records, console)
        return
    beside = [chance_row("protocol", num_classes)] if num_classes else []
    print_records(_shown_records(records), console, beside=beside)


def chance_row(column, num_classes):
    """Returns the row of a table of records that guessing is right in; `column` names it."""
    accuracies = dict.fromkeys(("standard_accuracy", "robust_accuracy"), 100 / num_classes)
    return {"checkpoint": "", "protocol": "", "epsilon": "", column: "chance", **accuracies}


def print_records(records, console, beside=()):
    """Prints a row per record, those `beside` them for comparison, and each warning once."""
    first = records[0]
    title = Text(f"{first['data_set']}, {first['num_images']} images")
    # Of a proportion of one half; it is narrower at both ends.
    half = 1.96 * 50 / first["num_images"] ** 0.5
    interval = f"95 % interval of each: at most ± {half:.1f} points"
    table = Table(title=title, caption=interval, box=SIMPLE, padding=(0, 1, 0, 0))
    is_narrow = console.width < _NARROW
    names = [
        name
        for name in ("checkpoint", "protocol", "epsilon")
        if name in first and not (is_narrow and name == "epsilon")
    ]
    for name in names:
        table.add_column(name, overflow="fold")
    # A narrow terminal folds names; a digit of a number is never cut off.
    for heading in ("SA %", "RA %") if is_narrow else ("SA %", "RA %", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    for record in (*records, *beside):
        numbers = [f"{record[k]:.2f}" for k in ("standard_accuracy", "robust_accuracy")]
        if not is_narrow:
            numbers.append(f"{record['wall_seconds']:.1f}" if "wall_seconds" in record else "")
        table.add_row(*(record[name] for name in names), *numbers)
    console.print(table)
    _print_classes(records, console)
    _print_warnings(records, console, "protocol")


def _print_classes(records, console):
    """Prints the accuracies of each class, of many the best and the worst five.

    Of the first checkpoint, and under the attack that leaves the fewest images right.
    """
    first = records[0].get("checkpoint")
    shown = [r for r in records if PER_CLASS in r and r.get("checkpoint") == first]
    if not shown:
        return
    # Of equal ones the last: `standard` stands first.
    record = min(reversed(shown), key=lambda r: r["robust_accuracy"])
    names = [name for name in (record.get("checkpoint"), record["protocol"]) if name]
    classes, title = record[PER_CLASS], f"by class ({', '.join(names)})"
    if len(classes) > _MOST_CLASSES:
        ordered = sorted(classes, key=lambda c: (-c["robust_accuracy"], -c["standard_accuracy"]))
        title += f": best and worst {_SHOWN_CLASSES} of {len(classes)}"
        classes = [*ordered[:_SHOWN_CLASSES], None, *ordered[-_SHOWN_CLASSES:]]
    console.print(_class_table(classes, title))


def _class_table(classes, title):
    """Returns a table with a row for each entry of `per_class`, and an empty one for None."""
    table = Table(title=Text(title), box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("class", overflow="fold", min_width=5)
    for heading in ("images", "SA %", "RA %"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    for entry in classes:
        if entry is None:
            table.add_row("...")
            continue
        accuracies = [f"{entry[k]:.2f}" for k in ("standard_accuracy", "robust_accuracy")]
        table.add_row(Text(entry["class"]), str(entry["num_images"]), *accuracies)
    return table


def print_comparisons(compared, paths, console):
    """Prints a row per comparison of two files: accuracies, difference and how sure it is."""
    first = compared[0]
    console.print(f"A: {paths[0]}\nB: {paths[1]}", markup=False, soft_wrap=True)
    title = Text(f"{first['data_set']}, {first['num_images']} images")
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("protocol", overflow="fold")
    for heading in ("A %", "B %", "B - A", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for comparison in compared:
        accuracies = [f"{comparison[side]['accuracy']:.2f}" for side in ("a", "b")]
        low, high = comparison["interval"]
        table.add_row(
            Text(_compared_name(comparison)),
            *accuracies,
            f"{comparison['difference']:+.2f}",
            f"{low:+.2f} to {high:+.2f}",
            f"{comparison['p_value']:.2g}",
        )
    console.print(table)


def _compared_name(comparison):
    a, b = comparison["a"], comparison["b"]
    named = [(b | a)[field] for field in ("row", "checkpoint") if field in b | a]
    return ", ".join([a["label"], *map(str, named)])


def _print_matrix(records, console):
    first, matrix = records[0], matrix_of(records)
    console.print(
        f"{first['data_set']}, {first['num_images']} images, {first['protocol']}, epsilon "
        f"{first['epsilon']}: RA % of targets (rows) on examples made on sources (columns)",
        markup=False,
    )
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("target", overflow="fold", min_width=4)
    # A narrow terminal folds labels; a digit of a number is never cut off.
    for label in ("SA %", *matrix["sources"]):
        table.add_column(Text(label), justify="right", overflow="fold", min_width=6)
    standard = {record["target"]: record["standard_accuracy"] for record in records}
    for target, values in zip(matrix["targets"], matrix["values"], strict=True):
        cells = ["-" if value is None else f"{value:.2f}" for value in values]
        table.add_row(Text(target), f"{standard[target]:.2f}", *cells)
    console.print(table)
    _print_warnings(records, console, "target")


def _print_warnings(records, console, field):
    """Prints each explanation once, with the protocols or targets that it concerns."""
    concerned = {}
    for record in records:
        for check in record["checks"]:
            concerned.setdefault((check["name"], check["message"]), []).append(record[field])
    for (name, message), found in concerned.items():
        by = ", ".join(dict.fromkeys(found))
        console.print(f"warning: {name} ({by}): {message}", markup=False, soft_wrap=True)


def _shown_records(records):
    """Returns the records to show: sweeps thinned out, corruptions as means over severities."""
    shown = [record for record in map(_as_shown, records) if record is not None]
    corrupted = [record for record in records if record["protocol"] == COMMON_CORRUPTIONS]
    return shown + (_corruption_means(corrupted) if corrupted else [])


def _as_shown(record):
    if record["protocol"] == COMMON_CORRUPTIONS:
        return None
    if record["protocol"] != SWEEP_STEPS:
        return record
    num_steps = record["attack"]["num_steps"]
    if num_steps not in _SHOWN_STEPS:
        return None
    return record | {"protocol": f"{SWEEP_STEPS}: {num_steps}"}


def _corruption_means(records):
    # Imported late: only those who ask for corruptions pay for their libraries.
    from ascl_tf.evaluation.common_corruptions import summarize_corruptions

    summary = summarize_corruptions(records)
    by_type = {}
    for record in records:
        by_type.setdefault(record["corruption"], []).append(record)
    accuracies = summary["per_corruption"]
    shown = [_as_mean(by_type[name], name, accuracies[name]) for name in by_type]
    means = {"mean of the 15": summary["mean_15"], "mean of all 19": summary["mean_19"]}
    quiet = [record | {"checks": []} for record in records]
    return shown + [_as_mean(quiet, n, value) for n, value in means.items() if value is not None]


def _as_mean(records, name, accuracy):
    """Returns a record that stands for several, with the checks that any of them raised."""
    raised = {check["name"]: check for record in records for check in record["checks"]}
    return records[0] | {
        "protocol": name,
        "robust_accuracy": accuracy,
        "wall_seconds": sum(record["wall_seconds"] for record in records),
        "checks": list(raised.values()),
    }
