"""What a run tells its user at the end, and the records of its training stages."""

import json

from ascl_tf.process.files import write_text


def print_summary(workdir, stage):
    """Says where logs, records and the exported model of a run lie."""
    places = {
        "TensorBoard": f"tensorboard --logdir {workdir.path / 'tensorboard'}",
        "records": workdir.path / "results",
    }
    if workdir.export(stage).exists():
        places["exported model"] = workdir.export(stage)
    for name, place in places.items():
        print(f"{name + ':':<16}{place}")


def write_training_record(path, document):
    """Writes the record of a training stage, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
