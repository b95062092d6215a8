"""What an artifact's steps have measured, as one document: results/<preset>/<artifact>/."""

import json

from ascl_tf.config import split_protocols
from ascl_tf.process.files import write_text
from tools.reproduction import measures
from tools.reproduction.store import copy_outputs

RECORDS = "records.json"


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
        "measures": [],
        "failed": [],
        "figures": {},
    }
    earlier = read_document(folder)
    for measured in plan.measured:
        kind, read = ("measures", _read_measures) if measured.label else ("records", _read)
        if store.is_done(measured.node):
            document[kind] += read(measured, store)
        elif kept := _kept(measured, earlier.get(kind, [])):
            document[kind] += kept
        elif measured.node.key in failed and not measured.label:
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
    steps = {found["step"] for kind in ("records", "measures") for found in document.get(kind, [])}
    return steps | set(_figures(document).values())


def pictures_of(artifact, document):
    """Returns the names of an artifact's pictures that there are."""
    return [*document["figures"], *(artifact.plots if document["records"] else ())]


def _kept(measured, records):
    """Returns what earlier records hold of a step: its name, made from its key, says what it is."""
    place = _place(measured)
    return [record for record in records if {name: record[name] for name in place} == place]


def _figures(document):
    """Returns figure -> step; {} of documents that have the names of figures alone."""
    figures = document.get("figures", {})
    return figures if isinstance(figures, dict) else {}


def _read(measured, store):
    """Returns the records of a step, each with its row, head and seed."""
    path = store.find(measured.node, measured.pattern)
    records = json.loads(path.read_text(encoding="utf-8"))["records"]
    is_export = measured.node.program == "ascl_tf.evaluate" and measured.head != "ensemble"
    more = {"checkpoint": measured.checkpoint} if is_export and measured.row else {}
    return [{**more, **record, **_place(measured)} for record in records]


def _read_measures(measured, store):
    """Returns what a figure has measured of one of its models, a record for each number.

    Its `values` (measures.py) are of the images, or of the components of an inversion; their mean
    is the number.
    """
    path = store.find(measured.node, measured.pattern)
    document = json.loads(path.read_text(encoding="utf-8"))
    (model,) = [entry for entry in document["models"] if entry["label"] == measured.label]
    place = {"checkpoint": measured.checkpoint, **_place(measured)}
    shared = {"protocol": document["figure"], **place}
    shared |= {name: model[name] for name in ("model_sha256", "checks") if name in model}
    shared |= {name: document[name] for name in ("data_set", "data_sha256")}
    return [
        {**shared, "measure": name, "values": measures.pack(values)}
        for name, values in model["measures"].items()
    ]


def _place(measured):
    return {
        "row": measured.row,
        "head": measured.head,
        "seed": measured.seed,
        "step": measured.node.name,
    }


def _protocols(node):
    return {"protocols": split_protocols(str(node.settings.get("protocol", "")))}
