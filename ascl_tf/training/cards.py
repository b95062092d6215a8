"""What the card of an exported model says of the run that trained it."""

import os

from ascl_tf import config as cfg
from ascl_tf.config.pretrained import PREFIX
from ascl_tf.data.license import license_of
from ascl_tf.errors import RunError
from ascl_tf.evaluation import records
from ascl_tf.serving.card import of_records
from ascl_tf.training import provenance
from ascl_tf.training.checkpoints import read_spans


def describe_run(config, workdir, stage, checkpoint, classifier):
    """Returns plain values for the card.

    Args:
        config: of the run.
        workdir: its `WorkDirectory`.
        stage: name of the classifier's stage.
        checkpoint: "best" or "last".
        classifier: what was trained, whose records of evaluation are looked for.
    """
    spans = read_spans(workdir.checkpoints(stage), checkpoint)
    inputs = provenance.inputs_of(spans)
    is_finetuned = stage != cfg.PRETRAIN
    digest = records.weights_sha256(classifier)
    details = {
        "method": config.method,
        "stage": stage,
        "checkpoint": checkpoint,
        "network": describe_network(config),
        "attack": f"{config.norm}, epsilon {config.epsilon}",
        "weights_sha256": digest,
        "data": {
            "name": inputs.get("data_set", config.dataset),
            "sha256": inputs.get("data_sha256"),
            "license": license_of(config.dataset, config.data_dir or None),
        },
        "settings": workdir.stage_identities().get(stage, {}),
        "trained_with": dict(spans[-1].get("versions", {})) if spans else {},
        "exported_with": records.environment_versions(),
        "records": of_records(_records_of(workdir.results(f"evaluate_{stage}"), digest)),
    }
    if "initial_encoder_sha256" in inputs:
        details["starts_from"] = _named(config.initial_encoder)
    return {**details, "finetune": config.finetuning.finetune} if is_finetuned else details


def describe_network(config):
    """Returns the encoder in words."""
    if config.encoder not in ("resnet", "preact_resnet"):
        # Of a file the name alone, and no place of this machine.
        return os.path.basename(config.encoder)
    return f"{config.encoder} of depth {config.depth}, width {config.width}"


def _named(source):
    """Returns what an encoder that training starts from is called, and no place of this machine."""
    return source if source.startswith(PREFIX) else os.path.basename(source)


def _records_of(file, digest):
    """Returns the records of an evaluation of these weights."""
    found = [r for r in readable_records(file) if r["model_sha256"] == digest]
    # Equal weights may have been measured under the names of both checkpoints.
    return list({r["protocol"]: r for r in found}.values())


def readable_records(file):
    """Returns the records in a file; none where it is absent or damaged: nothing needs them."""
    try:
        return records.earlier_records(file)
    except RunError:
        return []
