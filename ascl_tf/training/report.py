"""What a run tells its user: progress, tables, and where things lie."""

import contextlib
import json

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ascl_tf.training.workdir import write_text


@contextlib.contextmanager
def evaluation_progress(title):
    """Yields a callable (protocol, images done, images to do) that draws progress bars."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} images"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console()) as bars:
        tasks = {}

        def progress(protocol, num_done, num_to_do):
            if protocol not in tasks:
                tasks[protocol] = bars.add_task(f"{title}: {protocol}", total=num_to_do)
            bars.update(tasks[protocol], completed=num_done, total=num_to_do)

        yield progress


def print_records(measured):
    """Prints one row per record, and every warning of the model checks once."""
    has_checkpoints = any("checkpoint" in record for record in measured)
    table = Table(title="Accuracy in percent of all test images")
    for name in (["checkpoint"] if has_checkpoints else []) + ["protocol", "epsilon", "images"]:
        table.add_column(name)
    table.add_column("standard", justify="right")
    table.add_column("robust", justify="right")
    for record in measured:
        cells = [record.get("checkpoint", "")] if has_checkpoints else []
        cells += [record["protocol"], record["epsilon"], str(record["num_images"])]
        accuracies = [f"{record[k]:.2f}" for k in ("standard_accuracy", "robust_accuracy")]
        table.add_row(*cells, *accuracies)
    console = Console()
    console.print(table)
    warnings = {(w["name"], w["message"]) for r in measured for w in r.get("checks", [])}
    for name, message in sorted(warnings):
        console.print(f"warning: {name}: {message}", markup=False)


def print_summary(workdir, stage):
    """Says where logs, records and the exported model of a run lie."""
    places = {
        "TensorBoard": f"tensorboard --logdir {workdir.path / 'tensorboard'}",
        "records": workdir.path / "results",
        "exported model": workdir.export(stage),
    }
    for name, place in places.items():
        if name != "exported model" or place.exists():
            print(f"{name + ':':<16}{place}")


def write_training_record(path, document):
    """Writes the record of a training stage, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")


