"""The classifier that a run has trained: loaded, measured, exported."""

import dataclasses

from rich.console import Console

from ascl_tf.data.class_order import compare_classes
from ascl_tf.evaluation import checks, evaluate_robustness, records
from ascl_tf.evaluation.display import evaluation_progress
from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.process.failures import memory_errors_as_one_line
from ascl_tf.serving.card import describe_files
from ascl_tf.serving.exporting import export_classifier
from ascl_tf.training import ending, headings, provenance, run_data
from ascl_tf.training.cards import describe_run
from ascl_tf.training.checkpoints import BEST, LAST, read_spans, restore_parts
from ascl_tf.training.stages import (
    classifier_stage,
    finetune_stage_name,
    is_finetuned,
    with_encoder_settings,
)
from ascl_tf.training.workdir import recorded_config


def load_test_data(config):
    """Returns the test images that the config asks for, the first so many of them."""
    return run_data.load_test_data(config.data, num_images=config.num_images, smoke=config.smoke)


def evaluate(config, workdir, protocols):
    """Measures the last and the best classifier on the test set."""
    config = with_encoder_settings(config, workdir)
    stage = classifier_stage(config)
    test = load_test_data(config)
    _check_classes(config, workdir, stage, test)
    trained_on = provenance.inputs_of(read_spans(workdir.checkpoints(stage)))
    # Only here are the flags at hand with which its training images were cut.
    is_own = stage in workdir.stage_identities()
    recorded = trained_on.get("data_sha256") if is_own else None
    labeled_only = is_finetuned(config) or not config.uses_unlabeled_images
    seen = run_data.explain_seen(config.data, config.run, test, recorded, labeled_only=labeled_only)

    def complete(found):
        return found if seen is None else checks.add(found, checks.CHECK, seen)

    # Written protocol by protocol: what ends the second checkpoint leaves the first.
    kept, measured = records.KeptRecords(workdir.results(f"evaluate_{stage}"), complete), {}
    keeps = {
        checkpoint: kept.part(stage=stage, checkpoint=checkpoint, trained_on=trained_on)
        for checkpoint in _kept_checkpoints(workdir.checkpoints(stage))
    }
    for number, (checkpoint, keep) in enumerate(keeps.items()):
        classifier = load_classifier(config, workdir, test, checkpoint)
        if number == 0:
            headings.say_evaluation(stage, list(keeps), protocols, classifier, test)
        digest = records.weights_sha256(classifier)
        # The best epoch may be the last one: the same weights are measured once.
        if digest in measured:
            keep(measured[digest])
        else:
            title = f"{stage}, {checkpoint}"
            measured[digest] = measure(config, classifier, test, protocols, title, keep)
    beside = _untrained(config, workdir)
    ending.print_accuracies(kept.records(), test.num_classes, beside, is_smoke=config.smoke)
    if notice := kept.notice():
        print(notice, flush=True)


def _untrained(config, workdir):
    """Returns the file of the evaluation of the same fine-tuning on an untrained encoder."""
    if not is_finetuned(config) or config.encoder_checkpoint == "random":
        return None
    drawn = dataclasses.replace(config.finetuning, encoder_checkpoint="random")
    return workdir.results(f"evaluate_{finetune_stage_name(drawn)}")


def export(config, workdir, test=None):
    """Writes the classifier as files that serve, for images like those of `test`.

    Where it is not given, the test images of `config` are compared with those of training.
    """
    config = with_encoder_settings(config, workdir)
    stage = classifier_stage(config)
    if test is None:
        test = run_data.load_test_data(config.data, num_images=config.num_images, smoke=True)
        trained_with = recorded_config(workdir.path) or config
        run_data.check_as_in_training(trained_with.data, test)
    _check_classes(config, workdir, stage, test)
    chosen = chosen_checkpoint(config, workdir)
    classifier = load_classifier(config, workdir, test, chosen)
    formats = config.evaluation.export_formats
    headings.say_export(stage, chosen, formats)
    # Only its integers are calibrated with them.
    train = run_data.load_training_split(config.data) if "tflite" in formats else None
    card = export_classifier(
        classifier,
        workdir.export(stage),
        image_shape=test.image_shape,
        formats=formats,
        class_names=test.class_names,
        resize=config.data.resize,
        train=train,
        test=test,
        protocol=config.validation_protocol,
        details=describe_run(config, workdir, stage, chosen, classifier),
    )
    for line in describe_files(card):
        print(f"export: {line}", flush=True)


def _check_classes(config, workdir, stage, test):
    """Raises RunError if classes have other numbers than when the stage was trained."""
    own = workdir.class_names(stage) or ()
    told = compare_classes(own, test.class_names, field="dataset", value=config.dataset)
    if told:
        print(f"notice: {config.dataset}: {told}", flush=True)


def chosen_checkpoint(config, workdir):
    """Returns the checkpoint of the classifier that is exported: "best" or "last"."""
    kept = _kept_checkpoints(workdir.checkpoints(classifier_stage(config)))
    return config.export_checkpoint if config.export_checkpoint in kept else LAST


def _kept_checkpoints(folder):
    """Returns which checkpoints to read; without validation there is no best one."""
    return (BEST, LAST) if (folder / BEST).is_dir() else (LAST,)


def load_classifier(config, workdir, dataset, checkpoint, *, encoder=None):
    """Returns the classifier that the run has trained, as it was at `checkpoint`.

    `encoder` is unbuilt, or None: the one that `config` describes.
    """
    method = make_finetune_method(
        config,
        num_classes=dataset.num_classes,
        image_shape=dataset.image_shape,
        encoder=encoder,
    )
    folder = workdir.checkpoints(classifier_stage(config))
    restore_parts(folder, checkpoint, encoder=method.encoder, linear_head=method.linear_head)
    return method.classifier


def measure(config, classifier, test, protocols, title, keep):
    """Returns the records of a classifier under protocols; `keep` is handed those so far."""
    memory = memory_errors_as_one_line(config.evaluation_batch_size, f"at width {config.width}")
    with evaluation_progress(Console(), f"{title}: ") as progress, memory:
        return evaluate_robustness(
            classifier,
            test,
            protocols,
            batch_size=config.evaluation_batch_size,
            seed=config.seed,
            progress=progress,
            on_records=keep,
        )
