"""The stages of a run: pretrain, finetune, evaluate, export.

Each reads what the stage before has left in the work directory, so that they can
run in one process or in four.
"""

import contextlib
import dataclasses

import keras
import numpy as np

from ascl_tf import config as cfg
from ascl_tf.config.pretrained import PREFIX
from ascl_tf.config.sections import EvaluationSettings
from ascl_tf.data.pipeline import steps_per_epoch
from ascl_tf.errors import ConfigError, renamed
from ascl_tf.evaluation import records
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.methods.class_weights import class_weights
from ascl_tf.methods.factory import make_finetune_method, make_pretrain_method
from ascl_tf.models.averaged import copy_variables
from ascl_tf.process.files import write_errors_as_one_line
from ascl_tf.serving.exporting import check_export
from ascl_tf.training import budget, ending, provenance, run_data
from ascl_tf.training.batches import fit_batch
from ascl_tf.training.checkpoints import BEST, read_spans, restore_parts
from ascl_tf.training.encoder_sources import open_encoder, start_from
from ascl_tf.training.fitting import compile_method
from ascl_tf.training.given import twin_of
from ascl_tf.training.preparation import open_preparations
from ascl_tf.training.processes import (
    lost_worker_as_one_line,
    make_stage_fit,
    processes_of,
)
from ascl_tf.training.schedules import make_finetune_schedule, make_pretrain_schedule
from ascl_tf.training.stages import (
    classifier_stage,
    finetune_stage_name,
    is_finetuned,
    with_encoder_settings,
)
from ascl_tf.training.strategy import check_batch_size, layers_in, make_strategy
from ascl_tf.training.trained import evaluate, export, load_test_data
from ascl_tf.training.validation import make_validation


def run_stages(config, stage, workdir):
    """Runs one stage, or all that the method has for "all"."""
    config = config.with_chosen(config.chosen)
    wanted = cfg.STAGES if stage == cfg.ALL else (stage,)
    if not is_finetuned(config) and stage == cfg.ALL:
        wanted = tuple(name for name in wanted if name != cfg.FINETUNE)
    protocols = check_protocols(config.evaluation)
    with alone_in(workdir):
        # Refused now rather than after the training.
        test = load_test_data(config) if len(wanted) > 1 else None
        if cfg.FINETUNE in wanted:
            with_encoder_settings(config, workdir)
        if cfg.EXPORT in wanted:
            place = workdir.export(classifier_stage(config))
            check_export(place, config.evaluation.export_formats)
        for name in wanted:
            config = _run_stage(name, config, workdir, protocols, test, cfg.FINETUNE in wanted)
    ending.print_ending(config, workdir, classifier_stage(config), done=wanted[-1])


@contextlib.contextmanager
def alone_in(workdir):
    """Keeps other runs out of a work directory; what goes wrong with it is one line."""
    with workdir.held(), write_errors_as_one_line(), lost_worker_as_one_line():
        yield


def _run_stage(name, config, workdir, protocols, test, is_finetuned_next):
    """Runs a stage; returns the settings of those behind it."""
    if name == cfg.PRETRAIN:
        return pretrain(config, workdir, is_finetuned_next=is_finetuned_next, test=test)
    if name == cfg.FINETUNE:
        finetune(config, workdir)
    elif name == cfg.EVALUATE:
        evaluate(config, workdir, protocols)
    else:
        export(config, workdir, test)
    return config


def check_protocols(evaluation: EvaluationSettings):
    """Returns the protocols named by `--protocol`; both kinds of names are checked here."""
    with renamed(protocol="validation_protocol"):
        get_protocol(evaluation.validation_protocol)
    return [get_protocol(name) for name in cfg.split_protocols(evaluation.protocol)]


def pretrain(config, workdir, *, is_finetuned_next=True, test=None, given=None, encoder=None):
    """Pre-trains an encoder, or trains a one-shot classifier; returns the settings that go on.

    What the stages behind it would refuse is refused before the first step: fine-tuning if
    `is_finetuned_next`, evaluation on `test` if it is given. `given` images and a given `encoder`
    (`Given`) stand in for those that the settings name.
    """
    config = budget.settle(config)
    # Refused at once.
    path = config.initial_encoder
    source = open_encoder("initial_encoder", path) if path else None
    strategy = make_strategy(config.num_replicas, global_batch_size=config.global_batch_size)
    train, validation = load_training_data(
        config,
        given=given,
        needs_labels=is_finetuned_next or not config.is_label_free,
        labeled_only=not config.uses_unlabeled_images,
    )
    if test is not None:
        run_data.check_test_images(train, test)
    num_own_images = len(train)
    train = run_data.with_unlabeled_images(config.data, train, given)
    asked, num_replicas = config, strategy.num_replicas_in_sync
    batch = "global_batch_size", config.global_batch_size
    config = fit_batch(config, *batch, len(train), num_replicas)
    if config.minutes:
        num_test_images = 0 if test is None else len(test)
        behind = {"num_test_images": num_test_images, "is_finetuned_next": is_finetuned_next}
        config = _with_length(config, workdir, strategy, train, validation, encoder, **behind)
        asked = asked.replace(epochs=config.epochs, validate_every=config.validate_every)
    workdir.check_stage(cfg.PRETRAIN, cfg.identity_of(config, cfg.PRETRAIN))
    method = _make_pretraining(config, strategy, train, encoder)
    _check_encoder(method.encoder)
    if is_finetuned_next:
        _check_finetuning(asked, method, num_own_images, validation)
    start = None if source is None else _start_from(source, config, method.encoder)
    preparations = open_preparations(method, train)
    hashes = {name: sha256 for made in preparations for name, sha256 in made.inputs.items()}
    inputs = provenance.describe_inputs(train, validation, initial_encoder_sha256=start, **hashes)
    _begin(workdir, cfg.PRETRAIN, cfg.identity_of(config, cfg.PRETRAIN), config, inputs, encoder)
    for made in preparations:
        train = made.apply(processes_of(strategy), workdir, train)
    # Of the labels that are trained on, some of which a preparation may have made.
    method.class_weights = class_weights(config.class_weights, train)
    steps = steps_per_epoch(len(train), config.global_batch_size)
    _train_and_record(config, workdir, cfg.PRETRAIN, method, train, validation, steps, inputs)
    return asked


def _with_length(config, workdir, strategy, train, validation, encoder, **behind):
    """Returns the config with the epochs that fill its `minutes`, chosen once, as a run begins."""
    if cfg.PRETRAIN in workdir.stage_identities():
        budget.say_chosen(config)
        return config
    if config.pseudo_label_classifier:  # In the run no image lacks a label.
        train = dataclasses.replace(train, labels=np.maximum(train.labels, 0))
    timed = _make_pretraining(config, strategy, train, encoder)
    return budget.choose_length(config, timed, train, validation, **behind)


def _make_pretraining(config, strategy, train, encoder):
    """Returns the compiled method of a pre-training, with its first weights."""
    steps = steps_per_epoch(len(train), config.global_batch_size)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope(), layers_in(config.precision):
        method = make_pretrain_method(
            config,
            num_classes=train.num_classes,
            image_shape=train.image_shape,
            steps_per_epoch=steps,
            encoder=_twin_of(encoder),
        )
        compile_method(method, config.run, make_pretrain_schedule(config.optimization, steps))
        if encoder is not None:
            copy_variables(encoder.encoder, method.encoder)
    return method


def _start_from(source, config, encoder):
    """Loads the encoder that training starts from; returns its hash, None if it is left out.

    A shipped one that a recipe names gives way to another network; a run of the user's does not.
    """
    try:
        start_from(source, config.network, encoder)
    except ConfigError as misfit:
        is_own = not config.initial_encoder.startswith(PREFIX)
        if is_own or "initial_encoder" in config.chosen:
            raise
        told = "the recipe's encoder does not fit, so training starts from random weights"
        print(f"notice: {told}: {misfit}", flush=True)
        return None
    return records.weights_sha256(encoder)


def _check_finetuning(config, method, num_images, validation):
    """Raises what fine-tuning would: on its batch, on the checkpoint or part it starts from."""
    name = _finetune_batch_setting(config)
    with renamed(global_batch_size=name):
        if name in config.chosen and not config.smoke:  # Else the batch is cut.
            steps_per_epoch(num_images, config.finetune_batch_size)
        replicas = method.distribute_strategy.num_replicas_in_sync
        check_batch_size(config.finetune_batch_size, replicas)
    if config.pretrained or config.encoder_checkpoint == "random":
        return
    if config.encoder_checkpoint == BEST and (validation is None or not method.has_classifier):
        raise ConfigError(
            field="encoder_checkpoint",
            value=BEST,
            expected="last, or a pre-training that validates a classifier",
            found=f"`method={config.method}`, `validation_fraction={config.validation_fraction}`",
        )
    if config.encoder_part not in method.parts:
        raise ConfigError(
            field="encoder_part",
            value=config.encoder_part,
            expected=f"one of {', '.join(n for n in method.parts if n.startswith('encoder'))}",
            found=f"`method={config.method}`",
        )


def _finetune_batch_setting(config):
    return (
        "finetune_global_batch_size" if config.finetune_global_batch_size else "global_batch_size"
    )


def finetune(config, workdir, *, given=None, encoder=None):
    """Trains a classifier on a pre-trained encoder.

    `given` images stand in for those that the settings name, and `encoder` (`Given`) for the one
    that they start from: a copy of it is trained.
    """
    config = with_encoder_settings(config, workdir)
    name, setting = finetune_stage_name(config.finetuning), _finetune_batch_setting(config)
    with renamed(global_batch_size=setting):
        batch = config.finetune_batch_size
        strategy = make_strategy(config.num_replicas, global_batch_size=batch)
    train, validation = load_training_data(config, given=given, labeled_only=True)
    config = _with_finetune_batch(config, len(train), strategy.num_replicas_in_sync)
    with renamed(global_batch_size=setting):
        steps = steps_per_epoch(len(train), config.finetune_batch_size)
    workdir.check_stage(name, cfg.identity_of(config, cfg.FINETUNE))
    keras.utils.set_random_seed(config.seed)
    with strategy.scope(), layers_in(config.precision):
        method = make_finetune_method(
            config,
            num_classes=train.num_classes,
            image_shape=train.image_shape,
            encoder=_twin_of(encoder),
        )
        method.class_weights = class_weights(config.class_weights, train)
        compile_method(method, config.run, make_finetune_schedule(config.finetuning, steps))
        if encoder is not None:
            copy_variables(encoder.encoder, method.encoder)
        elif config.encoder_checkpoint != "random":
            _restore_encoder(config, workdir, method.encoder)
    is_drawn = encoder is None and config.encoder_checkpoint == "random"
    start = None if is_drawn else records.weights_sha256(method.encoder)
    inputs = provenance.describe_inputs(train, validation, encoder_sha256=start)
    _begin(workdir, name, cfg.identity_of(config, cfg.FINETUNE), config, inputs, encoder)
    _train_and_record(config, workdir, name, method, train, validation, steps, inputs)


def load_training_data(config, *, given=None, needs_labels=True, labeled_only=False):
    """Returns (train, validation), see `run_data.load_training_data`."""
    use = ("fine-tuning after " if config.is_label_free else "") + f"`method={config.method}`"
    return run_data.load_training_data(
        config.data,
        config.run,
        config.evaluation,
        given=given,
        labels_for=use if needs_labels else "",
        labeled_only=labeled_only,
    )


def _with_finetune_batch(config, num_images, num_replicas):
    # A setting of its own, so that pre-training in the same folder keeps its batch.
    asked = _finetune_batch_setting(config)
    name = "finetune_global_batch_size"
    chosen = {name} if asked in config.chosen else set()
    config = config.with_chosen(chosen)
    return fit_batch(config, name, config.finetune_batch_size, num_images, num_replicas)


def _begin(workdir, stage, identity, config, inputs, encoder=None):
    """Begins a stage, or goes on, after making sure that nothing has changed since it began."""
    spans = read_spans(workdir.checkpoints(stage))
    provenance.check_inputs(spans, inputs, f"{workdir.path}, stage {stage}")
    workdir.begin_stage(stage, identity, config)
    if encoder is not None:
        encoder.keep(workdir)


def _check_encoder(encoder):
    """Refuses an encoder that no step would change; tells of losses that a step does not have."""
    if not encoder.trainable_weights:
        raise ConfigError(field="encoder", expected="weights that are trained", found="none")
    if encoder.losses:
        print(
            "notice: layer regularizers of `encoder` are not part of the loss; the run applies "
            "`weight_decay` instead",
            flush=True,
        )


def _twin_of(given):
    return None if given is None else twin_of(given.encoder)


def _restore_encoder(config, workdir, encoder):
    """Loads the encoder that fine-tuning starts from."""
    if config.pretrained:
        source = open_encoder("pretrained", config.pretrained)
        source.restore(encoder, config.encoder_checkpoint, config.encoder_part)
    else:
        folder = workdir.checkpoints(cfg.PRETRAIN)
        restore_parts(folder, config.encoder_checkpoint, **{config.encoder_part: encoder})


def _train_and_record(config, workdir, stage, method, train, validation, steps, inputs):
    is_pretraining = stage == cfg.PRETRAIN
    epochs = config.epochs if is_pretraining else config.num_finetune_epochs
    global_batch_size = config.global_batch_size if is_pretraining else config.finetune_batch_size
    measure, labels = dict, None
    if validation is not None and method.has_classifier:
        sections = config.evaluation, config.network, config.run
        measure, labels = make_validation(method, validation, *sections), validation.labels
    fit = make_stage_fit(
        method=method,
        dataset=train,
        run=config.run,
        stage=stage,
        workdir=workdir,
        global_batch_size=global_batch_size,
        epochs=epochs,
        steps_per_epoch=steps,
        measure=measure,
        validate_every=config.validate_every,
        inputs=inputs,
        validation_labels=labels,
    )
    history = fit.train().history
    document = {
        "stage": stage,
        "settings": cfg.identity_of(config, cfg.PRETRAIN if is_pretraining else cfg.FINETUNE),
        **inputs,
        "class_names": list(train.class_names),
        "num_images": len(train),
        "steps_per_epoch": steps,
        # Of the last step, whatever writes the record of a stage that has ended.
        "versions": history.spans[-1].get("versions") if history.spans else None,
        **history.to_json(),
    }
    # The others wait for it: a worker that has ended would be a lost one.
    processes_of(method.distribute_strategy).from_chief(
        lambda: workdir.write_record(stage, document)
    )
