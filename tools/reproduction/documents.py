"""What an artifact's steps have measured, as one document: results/<preset>/<artifact>/."""

import json

from ascl_tf.config import split_protocols
from ascl_tf.process.files import write_text
from tools.reproduction.store import copy_outputs

RECORDS = "records.json"
# An exported model is the best checkpoint where there is one.
EXPORTED = "best"


def write_documents(plan, store, folder, *, preset, command, failed=()):
    """Writes an artifact's records, copies its figures, and returns the document.

    Args:
        plan: `Plan`.
        store: `Store`; of what is not done there, an earlier document's records stay.
        folder: results/<preset>/<artifact>.
        preset: `Preset`.
        command: that repeats it.
        failed: keys of steps that failed, or could not be tried for that reason.
    """
    document = {
        "artifact": plan.artifact.name,
        "preset": preset.name,
        "command": command,
        "records": [],
        "failed": [],
        "figures": {},
    }
    earlier = read_document(folder)
    for measured in plan.measured:
        if store.is_done(measured.node):
            document["records"] += _read(measured, store)
        elif kept := _records_of(measured.node, earlier):
            document["records"] += kept
        elif measured.node.key in failed:
            document["failed"].append(_place(measured) | _protocols(measured.node))
    for name, node in plan.drawn.items():
        if store.is_done(node):
            copy_outputs(store, node, folder)
            document["figures"][name] = node.name
        elif _figures(earlier).get(name) == node.name:
            document["figures"][name] = node.name
        elif node.key in failed:
            document["failed"].append({"figure": name, "step": node.name})
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_text(folder / RECORDS, text)
    return document


def read_document(folder):
    """Returns the document in a folder of results, or {} where there is none."""
    path = folder / RECORDS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def recorded_steps(folder):
    """Returns the names of the steps whose records or figures a folder of results holds."""
    document = read_document(folder)
    steps = {record["step"] for record in document.get("records", [])}
    return steps | set(_figures(document).values())


def _records_of(node, document):
    """Returns a step's records: its name, made from its key, says what was measured."""
    return [record for record in document.get("records", []) if record["step"] == node.name]


def _figures(document):
    """Returns figure -> step; {} of documents that have the names of figures alone."""
    figures = document.get("figures", {})
    return figures if isinstance(figures, dict) else {}


def _read(measured, store):
    """Returns the records of a step, each with its row, head and seed."""
    path = store.find(measured.node, measured.pattern)
    records = json.loads(path.read_text(encoding="utf-8"))["records"]
    is_export = measured.node.program == "ascl_tf.evaluate" and measured.head != "ensemble"
    more = {"checkpoint": EXPORTED} if is_export and measured.row else {}
    return [{**more, **record, **_place(measured)} for record in records]


def _place(measured):
    return {
        "row": measured.row,
        "head": measured.head,
        "seed": measured.seed,
        "step": measured.node.name,
    }


def _protocols(node):
    return {"protocols": split_protocols(str(node.settings.get("protocol", "")))}
