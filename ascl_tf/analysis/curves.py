"""What is drawn from records: accuracies by corruption, by number of steps and by radius."""

import numpy as np

from ascl_tf.config.setting import Fraction
from ascl_tf.errors import RunError

SWEEPS = ("sweep_steps", "sweep_epsilon")
CORRUPTIONS = "corruptions"


def sweep_document(records_by_model):
    """Returns the data of the figure of robust accuracy over steps and over radius.

    The paper's figure 6.

    Args:
        records_by_model: dictionary label -> records with `protocol` `sweep_steps` or
            `sweep_epsilon`, as `ascl_tf.evaluation.sweeps` makes them; others are left out.

    Returns:
        {"figure": "sweeps", "data_set", "data_sha256", "num_images",
         "models": one per entry, in order: {"label", "model_sha256", "curves": {protocol:
          {"positions": number of steps, or radius in 1/255, ascending,
           "robust_accuracies": percent, "attack": settings of the longest attack}}}}.

    Raises:
        RunError: if a model has no such records, or the models saw different images.
    """
    chosen = _of_protocols(records_by_model, SWEEPS)
    models = []
    for label, records in chosen.items():
        found = {name: [r for r in records if r["protocol"] == name] for name in SWEEPS}
        curves = {name: _curve(name, rows) for name, rows in found.items() if rows}
        models.append({"label": label, **_model_hash(records), "curves": curves})
    return {"figure": "sweeps", **_shared_data(chosen), "models": models}


def corruption_document(records_by_model):
    """Returns the data of the figure of accuracy by corruption, means over severities.

    The paper's figures 1 and 7.

    Args:
        records_by_model: dictionary label -> records with `protocol` `corruptions`, as
            `ascl_tf.evaluation.common_corruptions` makes them; others are left out.

    Returns:
        {"figure": "corruptions", "data_set", "data_sha256", "num_images",
         "corruptions": their names, in the order of the first model's records,
         "models": one per entry, in order: {"label", "model_sha256", "accuracies": percent,
          one per corruption, "mean_accuracy": their mean, "standard_accuracy", "severities",
          "sources", "frost_textures": where its images come from}}.

    Raises:
        RunError: if a model has no such records, or the models saw different images.
    """
    chosen = _of_protocols(records_by_model, (CORRUPTIONS,))
    seen = {label: [_kind_and_severity(r) for r in rows] for label, rows in chosen.items()}
    first, *rest = seen
    for label in rest:
        if sorted(seen[label]) != sorted(seen[first]):
            raise RunError(
                field="records",
                value=label,
                expected=f"the corruptions and severities of {first}",
                found="others",
            )
    names = list(dict.fromkeys(name for name, _ in seen[first]))
    models = [_corruption_means(label, rows, names) for label, rows in chosen.items()]
    return {
        "figure": CORRUPTIONS,
        **_shared_data(chosen),
        "corruptions": names,
        "models": models,
    }


def _curve(name, records):
    points = {}
    for record in records:
        radius = 255 * float(Fraction(record["epsilon"]))
        # Rounded: a radius of 2/255 is at 2.
        position = record["attack"]["num_steps"] if name == SWEEPS[0] else round(radius, 6)
        points[position] = record
    positions = sorted(points)
    return {
        "positions": positions,
        "robust_accuracies": [points[position]["robust_accuracy"] for position in positions],
        "attack": points[positions[-1]]["attack"],
    }


def _kind_and_severity(record):
    return record["corruption"], record["severity"]


def _corruption_means(label, records, names):
    accuracies = [
        float(np.mean([r["robust_accuracy"] for r in records if r["corruption"] == name]))
        for name in names
    ]
    return {
        "label": label,
        **_model_hash(records),
        "accuracies": accuracies,
        "mean_accuracy": float(np.mean(accuracies)),
        "standard_accuracy": records[0]["standard_accuracy"],
        "severities": sorted({record["severity"] for record in records}),
        "sources": _distinct(records, "source"),
        "frost_textures": _distinct(records, "frost_textures"),
    }


def _distinct(records, field):
    return sorted({str(r[field]) for r in records if r.get(field) is not None})


def _of_protocols(records_by_model, protocols):
    chosen = {
        label: [r for r in records if r["protocol"] in protocols]
        for label, records in records_by_model.items()
    }
    for label, records in chosen.items():
        if not records:
            raise RunError(
                field="records",
                value=label,
                expected=f"records of protocol {' or '.join(protocols)}",
                found="none",
            )
    return chosen


def _model_hash(records):
    return {"model_sha256": records[0]["model_sha256"]}


def _shared_data(records_by_model):
    """Returns what the figure says of its images; they must be the same for every model."""
    found = {
        label: {(r.get("data_set"), r.get("data_sha256"), r["num_images"]) for r in records}
        for label, records in records_by_model.items()
    }
    first = next(iter(found))
    for label, data in found.items():
        if len(data | found[first]) > 1:
            raise RunError(
                field="records",
                value=label,
                expected=f"one set of images, that of {first}",
                found="others",
            )
    ((data_set, data_sha256, num_images),) = found[first]
    return {"data_set": data_set, "data_sha256": data_sha256, "num_images": num_images}
