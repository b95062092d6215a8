"""Runs `fit` from any step to the end of a stage."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ascl_tf.config import PRETRAIN
from ascl_tf.config.networks import is_given, is_own
from ascl_tf.config.sections import RunSettings
from ascl_tf.data.pipeline import training_batches
from ascl_tf.evaluation.records import environment_versions
from ascl_tf.methods.linear_probe import compute_features
from ascl_tf.models import ADVERSARIAL
from ascl_tf.models.averaged import WeightAverage
from ascl_tf.models.own_encoder import own_encoder_sha256
from ascl_tf.process import signals
from ascl_tf.process.failures import training_errors_as_one_line
from ascl_tf.training import callbacks, headings, provenance, tensorboard
from ascl_tf.training.checkpoints import LAST, StageCheckpoints
from ascl_tf.training.not_finite import ROLLBACK, Rollback
from ascl_tf.training.optimizers import Lars, Sgd
from ascl_tf.training.screen import TrainingScreen
from ascl_tf.training.strategy import is_step_compiled
from ascl_tf.training.tensorboard import TRAIN, VALIDATION
from ascl_tf.training.watches import (
    make_loss_watches,
    make_validation_watches,
    make_watches,
)
from ascl_tf.training.workdir import name_devices


def compile_method(method, run: RunSettings, schedule):
    """Gives the method its optimizer and its average; says whether XLA compiles its step."""
    optimizer = make_optimizer(method.optimization, schedule)
    method.compile(optimizer=optimizer, jit_compile=is_step_compiled(run.jit))
    optimizer.build(method.step_variables())
    decay = method.optimization.weight_averaging
    method.average = WeightAverage(method.parts, decay) if decay else None


def make_optimizer(optimization, schedule):
    """Returns the optimizer of an `Optimization`.

    SGD's weight decay is added by the step (coupled); LARS decays by itself, and
    `weight_decay_on` says which variables it decays and adapts.
    """
    settings = {"momentum": optimization.momentum, "nesterov": optimization.nesterov}
    if optimization.optimizer == "sgd":
        return Sgd(schedule, **settings)
    return Lars(
        schedule,
        rate_inside=optimization.lars_rate == "inside",
        trust=optimization.lars_trust,
        decay=optimization.weight_decay,
        adapts_vectors=optimization.weight_decay_on == "all",
        **settings,
    )


@dataclasses.dataclass
class StageFit:
    """The training of one stage, from wherever it stands to its end.

    Args:
        method: built and compiled `Method`.
        dataset: `ImageDataset` to train on.
        run: section of the settings.
        stage: name of the stage's folders.
        workdir: `WorkDirectory`.
        global_batch_size: images per step.
        epochs, steps_per_epoch: length of the stage.
        measure: callable () -> dict of validation accuracies.
        validate_every: epochs between two validations.
        inputs: what the stage is trained on, of `provenance.describe_inputs`.
        validation_labels: int [N] of what `measure` measures; None where it measures nothing.
    """

    method: Any
    dataset: Any
    run: RunSettings
    stage: str
    workdir: Any
    global_batch_size: int
    epochs: int
    steps_per_epoch: int
    measure: Callable[[], dict[str, float]]
    validate_every: int
    inputs: dict[str, Any]
    validation_labels: Any = None

    _watches = ()

    def train(self):
        """Trains to the end; returns the stage's checkpoints, the method in its last state."""
        checkpoints = self._make_checkpoints()
        if checkpoints.has(LAST):
            checkpoints.restore(LAST)
            print(f"{self.stage}: continuing after step {checkpoints.step}", flush=True)
        self._note_conditions(checkpoints)
        if checkpoints.step < self._num_steps:
            self._announce(self._num_steps - checkpoints.step)
            # Behind the checkpoint, which holds the encoder whose features they are.
            self.dataset = with_fixed_features(self.method, self.dataset)
        writers = {part: self._make_writer(part) for part in (TRAIN, VALIDATION)}
        writer = writers[TRAIN]
        with writer.as_default():
            tensorboard.write_settings(self.method.config, checkpoints.step)
        self._clock = callbacks.TrainingClock(checkpoints.history)
        if checkpoints.step < self._num_steps:
            self._watches = [
                *make_watches(
                    self.method, self.dataset, checkpoints, writer, self._clock, self._agree
                ),
                *make_loss_watches(self.method, checkpoints, writer, self._num_steps),
            ]
        while checkpoints.step < self._num_steps:
            self._fit_until(checkpoints, writers, end_epoch=self._end_epoch(checkpoints.step))
        for writer in writers.values():
            writer.close()
        return checkpoints

    @property
    def _num_steps(self):
        return self.epochs * self.steps_per_epoch

    def _announce(self, steps_left):
        num_validations = math.ceil(steps_left / self.steps_per_epoch / self.validate_every)
        labels = () if self.validation_labels is None else self.validation_labels
        headings.say_training(
            self.stage,
            self.method,
            self.dataset,
            epochs=self.epochs,
            num_images=steps_left * self.global_batch_size,
            num_validated=num_validations * len(labels),
        )

    def _note_conditions(self, checkpoints):
        """Refuses other inputs than those of the steps made so far; says what else is new."""
        spans, step = checkpoints.history.spans, checkpoints.step
        inputs = provenance.with_pseudo_labels(self.inputs, self.dataset)
        provenance.check_inputs(spans, inputs, f"{self.workdir.path}, stage {self.stage}")
        surroundings = self._agree(self._surroundings)
        if step == self._num_steps:
            return
        changes = provenance.begin_span(
            spans, inputs, surroundings, step=step, steps_per_epoch=self.steps_per_epoch
        )
        if changes:
            print(
                f"warning: {self.stage}: continuing after step {step} with {changes}; "
                "`spans` in its record show which steps used what",
                flush=True,
            )

    def _surroundings(self):
        return {
            "versions": environment_versions() | _own_files(self.method.config),
            "devices": sorted(set(name_devices())),
            "num_replicas": self.method.distribute_strategy.num_replicas_in_sync,
            "precision": self.run.precision,
            "jit": bool(self.method.jit_compile),
        }

    def _end_epoch(self, step):
        """Returns the epoch, from 0, before which the fit from `step` on ends."""
        epoch, steps_done = divmod(step, self.steps_per_epoch)
        # An interrupted epoch is finished by itself, since Keras counts whole epochs only.
        return epoch + 1 if steps_done else self.epochs

    def _fit_until(self, checkpoints, writers, *, end_epoch):
        epoch, steps_done = divmod(checkpoints.step, self.steps_per_epoch)
        batches = training_batches(
            self.dataset,
            global_batch_size=self.global_batch_size,
            seed=self.run.seed,
            start_step=checkpoints.step,
        )
        screen = TrainingScreen(self.stage, checkpoints, self.epochs, self.steps_per_epoch)
        is_partial = steps_done > 0
        with signals.deferred(), self._errors_as_one_line(), contextlib.closing(screen):
            self._drive(
                batches,
                initial_epoch=epoch,
                epochs=end_epoch,
                steps_per_epoch=self.steps_per_epoch - steps_done,
                callbacks=self._callbacks(checkpoints, writers, screen, is_partial=is_partial),
            )

    # What is otherwise in a cluster, see cluster/fit.py.

    _stop = signals

    def _make_checkpoints(self):
        return StageCheckpoints(self.workdir.checkpoints(self.stage), self.method)

    def _make_writer(self, part):
        return tf.summary.create_file_writer(str(self.workdir.tensorboard(self.stage) / part))

    def _drive(self, batches, **settings):
        # The batches come in the order of (seed, epoch).
        self.method.fit(batches, shuffle=False, verbose=0, **settings)

    def _agree(self, function):
        return function()

    def _errors_as_one_line(self):
        config = self.method.config
        is_own = self.stage != PRETRAIN and config.finetune_global_batch_size
        return training_errors_as_one_line(
            width=config.width,
            batch_setting="finetune_global_batch_size" if is_own else "global_batch_size",
            global_batch_size=self.global_batch_size,
            logs=self.workdir.tensorboard(self.stage),
        )

    def _callbacks(self, checkpoints, writers, screen, *, is_partial):
        run, writer, validation = self.run, writers[TRAIN], writers[VALIDATION]
        saved = tensorboard.metric_values(self.method) if is_partial else None
        scalars = tensorboard.TensorBoardScalars(writer, run.log_every, self.global_batch_size)
        on_bad = None
        if run.on_nan == ROLLBACK:
            on_bad = Rollback(self.method, checkpoints, self.steps_per_epoch, scalars.restart)
        return [
            callbacks.ContinueEpoch(saved),
            callbacks.StopOnNonFinite(checkpoints, run.checkpoint_every, on_bad),
            self._clock,
            *self._watches,
            scalars,
            tensorboard.TensorBoardPictures(writer, self.dataset, self.epochs),
            callbacks.Validate(
                self.measure, checkpoints, validation, self.validate_every, self.epochs
            ),
            *make_validation_watches(
                self.method,
                self.validation_labels,
                checkpoints,
                writer,
                num_steps=self._num_steps,
                num_epochs=self.epochs,
            ),
            screen,
            callbacks.SaveLast(checkpoints, run.checkpoint_every, self._stop),
        ]


def _own_files(config):
    """Returns the hashes of the files from outside of the package."""
    hashes = {"method_file": config.method_spec.sha256}
    if is_own(config.encoder) and not is_given(config.encoder):
        hashes["encoder_file"] = own_encoder_sha256(config.encoder)
    return {name: sha256 for name, sha256 in hashes.items() if sha256}


def with_fixed_features(method, dataset):
    """Returns `dataset` with the features that `method` finds; as it is where they change.

    In inference mode, adversarial branch, as a step has them.
    """
    if not method.has_fixed_features:
        return dataset
    features = compute_features(method.encoder, dataset.images, branch=ADVERSARIAL)
    return dataclasses.replace(dataset, features=features)
