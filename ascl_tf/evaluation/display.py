"""What an evaluation shows on the screen: progress while it runs, a table at the end."""

import contextlib

from rich.box import SIMPLE
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


@contextlib.contextmanager
def evaluation_progress(console, title=""):
    """Yields a callable (protocol, images done, images to do) that draws a bar per protocol.

    `note=` is shown beside the name.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def advance(protocol, num_done, num_to_do, note=""):
            if protocol not in tasks:
                tasks[protocol] = bars.add_task(protocol, total=num_to_do)
            text = f"{title}{protocol}" + (f" ({note})" if note else "")
            bars.update(tasks[protocol], completed=num_done, total=num_to_do, description=text)

        yield advance


def print_records(records, console):
    """Prints a row per record, and each warning of the checks once."""
    first = records[0]
    title = Text(f"{first['data_set']}, {first['num_images']} images")
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    names = (
        ("checkpoint", "protocol", "epsilon") if "checkpoint" in first else ("protocol", "epsilon")
    )
    for name in names:
        table.add_column(name, overflow="fold")
    # A narrow terminal folds names; a digit of a number is never cut off.
    for heading in ("SA %", "RA %", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    for record in records:
        accuracies = [f"{record[k]:.2f}" for k in ("standard_accuracy", "robust_accuracy")]
        seconds = f"{record['wall_seconds']:.1f}"
        table.add_row(*(record[name] for name in names), *accuracies, seconds)
    console.print(table)
    for warning in _distinct_warnings(records):
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def _distinct_warnings(records):
    """Returns each explanation once, with the protocols that it concerns."""
    concerned = {}
    for record in records:
        for check in record["checks"]:
            concerned.setdefault((check["name"], check["message"]), []).append(record["protocol"])
    return [
        f"{name} ({', '.join(dict.fromkeys(by))}): {text}" for (name, text), by in concerned.items()
    ]
