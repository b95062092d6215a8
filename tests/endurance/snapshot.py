"""What a run has left, in a form in which two runs can be compared bit for bit."""

import hashlib
import json
import pathlib

import numpy as np
import tensorflow as tf

from ascl_tf.training.checksums import find_fault

# How often was saved, and the shape of the object graph, are no part of the state.
_NO_STATE = ("save_counter", "_CHECKPOINTABLE")
_HISTORY = "history"


def take_snapshot(workdir):
    """Returns a dict from what there is in a work directory to its content, times left out.

    Event files of TensorBoard bear times in their names and are counted as one per stage.
    """
    workdir = pathlib.Path(workdir)
    found = {"files": sorted({_untimed_name(p, workdir) for p in workdir.rglob("*")})}
    for path in (
        path for path in (workdir / "config.json", workdir / "flags.txt") if path.exists()
    ):
        found[path.name] = path.read_text(encoding="utf-8")
    for path in sorted((workdir / "results").glob("*.json")):
        found[f"results/{path.name}"] = read_untimed(path)
    for index in sorted(workdir.rglob("*.index")):
        prefix = index.with_suffix("")
        name = prefix.relative_to(workdir).as_posix()
        tensors = _tensors(prefix)
        # Keras exports variables in an order that changes with every process.
        found[name] = sorted(tensors.values()) if name.startswith("export/") else tensors
    return found


def read_untimed(path):
    """Returns what a JSON file holds, times and the commit of the checkout left out."""
    return _untimed(json.loads(path.read_text(encoding="utf-8")))


def differences(one, other):
    """Returns the names of what two snapshots do not have in common, sorted."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _tensors(prefix):
    """Returns the SHA-256 of every tensor of a checkpoint, and its history without times."""
    fault = find_fault(prefix)
    if fault:
        return {"fault": fault}
    reader = tf.train.load_checkpoint(str(prefix))
    names = [n for n in reader.get_variable_to_shape_map() if not n.startswith(_NO_STATE)]
    return {name: _content(name, reader.get_tensor(name)) for name in names}


def _content(name, value):
    if name.startswith(_HISTORY):
        return _untimed(json.loads(value))
    return hashlib.sha256(np.asarray(value).tobytes()).hexdigest()


def _untimed(value):
    if isinstance(value, dict):
        # The checkout may be committed to while runs are killed; the code stays in memory.
        kept = {k: v for k, v in value.items() if not k.endswith("seconds") and k != "commit"}
        return {k: _untimed(v) for k, v in kept.items()}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _untimed_name(path, workdir):
    name = path.relative_to(workdir)
    return (name.parent if name.parts[0] == "tensorboard" and path.is_file() else name).as_posix()
