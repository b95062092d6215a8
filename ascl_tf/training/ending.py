"""What a run shows at its end: accuracies and what to compare them with, places, next commands."""

import shlex

from rich.console import Console

from ascl_tf import config as cfg
from ascl_tf.evaluation.display import chance_row, print_records
from ascl_tf.process.terminal import python_command
from ascl_tf.training.cards import readable_records
from ascl_tf.training.workdir import recorded_config

_NAMES_CLASSIFIER = ("finetune", "pretrained", "encoder_checkpoint", "encoder_part")
UNTRAINED = "untrained encoder"
_NEXT = {cfg.PRETRAIN: cfg.FINETUNE, cfg.FINETUNE: cfg.EVALUATE, cfg.EVALUATE: cfg.EXPORT}


def print_accuracies(records, num_classes, untrained=None, *, is_smoke=False):
    """Prints a row per record, and below them those to compare with.

    Args:
        records: of the evaluation.
        num_classes: of the data set: one guess in so many is right.
        untrained: file of the records of the same fine-tuning on an untrained encoder, which need
            not be there; None: there is no such stage.
        is_smoke: whether the run is one of `--smoke`.
    """
    beside = [] if untrained is None else _like(records, readable_records(untrained))
    beside.append(chance_row("checkpoint", num_classes))
    print_records(records, Console(), beside=beside)
    if is_smoke:
        print("notice: --smoke: too short to learn anything; ignore these numbers and warnings")


def _like(records, others):
    """Returns those of others that are of the same images and protocols, of one checkpoint."""
    subject = ("data_sha256", "num_images", "protocol", "epsilon")
    measured = {tuple(record[name] for name in subject) for record in records}
    return [
        {**other, "checkpoint": UNTRAINED}
        for other in others
        if tuple(other[name] for name in subject) in measured
        and other["checkpoint"] == others[0]["checkpoint"]
    ]


def print_ending(config, workdir, classifier, done):
    """Says where logs, records and the exported model of a run lie, and how to go on.

    Args:
        config: of the run.
        workdir: its `WorkDirectory`.
        classifier: name of the stage whose classifier is evaluated and exported.
        done: the last stage that ran.
    """
    places = [
        ("TensorBoard", shlex.join(["tensorboard", "--logdir", str(workdir.path / "tensorboard")])),
        ("records", workdir.path / "results"),
    ]
    if workdir.export(classifier).exists():
        places.append(("exported model", workdir.export(classifier)))
    commands = _next_commands(config, workdir, classifier, done)
    lines = [*places, ("next", commands[0]), *(("", command) for command in commands[1:])]
    for name, text in lines:
        print(f"{name + ':' if name else '':<16}{text}", flush=True)


def _next_commands(config, workdir, classifier, done):
    model = workdir.export(classifier)
    if model.exists():
        data = [f"--dataset={config.dataset}"]
        data += [f"--data_dir={config.data_dir}"] if config.data_dir else []
        more = f"--model={model}", "--protocol=autoattack_fast"
        return [
            _command("predict", f"--model={model}", "picture.png"),
            _command("evaluate", *more, *data),
        ]
    following = _NEXT[done]
    if following == cfg.FINETUNE and classifier == cfg.PRETRAIN:
        following = cfg.EVALUATE
    flags = _unrecorded(config, recorded_config(workdir.path))
    return [_command("train", f"--stage={following}", f"--workdir={workdir.path}", *flags)]


def _unrecorded(config, recorded):
    """Returns the flags that name the classifier where the work directory does not."""
    base = recorded or cfg.Config()
    return [
        f"--{name}={getattr(config, name)}"
        for name in _NAMES_CLASSIFIER
        if getattr(config, name) != getattr(base, name)
    ]


def _command(program, *arguments):
    return shlex.join([python_command(), "-m", f"ascl_tf.{program}", *arguments])
