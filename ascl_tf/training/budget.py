"""`--minutes`: how many epochs fit into a time, chosen once, before pre-training begins."""

import statistics
import tempfile
import time

import keras
import tensorflow as tf

from ascl_tf.config import split_protocols
from ascl_tf.data.pipeline import steps_per_epoch, training_batches
from ascl_tf.errors import ConfigError
from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.training.cost import count_passes, describe_duration
from ascl_tf.training.strategy import is_over_workers

# The first one is traced; of the others the one in the middle counts.
NUM_STEPS = 6
# Of the time of the epochs, what validation takes at most.
VALIDATION_SHARE = 0.1


def settle(config):
    """Returns the config in which chosen `epochs` stand in place of a recipe's `minutes`.

    Raises:
        ConfigError: if both have been chosen.
    """
    if not config.minutes or "epochs" not in config.chosen:
        return config
    if "minutes" in config.chosen:
        expected = "a time or a number of `epochs`"
        raise ConfigError(field="minutes", value=config.minutes, expected=expected, found="both")
    return config.replace(minutes=0.0)


def choose_length(config, method, train, validation, *, num_test_images, is_finetuned_next):
    """Returns the config with as many epochs as fit into its `minutes`, and says how many.

    The time holds what follows, too: fine-tuning, and evaluation, but for AutoAttack's part. A step
    is timed here, so that the same command may choose another number on another machine: it is a
    setting of the run from then on, and stays when the run goes on.

    Args:
        config: `Config` with `minutes` > 0. A chosen `validate_every` stays.
        method: compiled `Method` of it, which is trained for a few steps here and thrown away.
        train, validation: `ImageDataset`; no validation: None.
        num_test_images: 0 where no evaluation follows.
        is_finetuned_next: whether fine-tuning follows.

    Raises:
        ConfigError: on several workers.
    """
    if is_over_workers(method.distribute_strategy):
        raise ConfigError(
            field="minutes",
            value=config.minutes,
            expected="0 on several workers, which would each choose a length; give `epochs`",
            found="a cluster",
        )
    began = time.perf_counter()
    tracing, step = _seconds_of_steps(config, method, train)
    shape = {"num_classes": train.num_classes, "image_shape": train.image_shape}
    pass_of_image = step / (config.global_batch_size * count_step(config, **shape))
    epoch = step * steps_per_epoch(len(train), config.global_batch_size) + _seconds_to_save(method)
    num_validated = 0 if validation is None else len(validation)
    validating = pass_of_image * num_validated * count_passes([config.validation_protocol])
    # The last checkpoint and the best one.
    behind = 2 * pass_of_image * num_test_images * count_passes(split_protocols(config.protocol))
    if is_finetuned_next:
        units = count_step(config, make=make_finetune_method, **shape)
        behind += pass_of_image * units * len(train) * config.num_finetune_epochs
    # Each graph takes about as long as that of a step: of training and validation in each stage,
    # of the evaluation of both checkpoints, of the export.
    num_graphs = (1 + (num_validated > 0)) * (1 + is_finetuned_next) + 3 * (num_test_images > 0)
    graphs = tracing * num_graphs
    left = 60 * config.minutes - (time.perf_counter() - began) - graphs - behind
    given = config.validate_every if "validate_every" in config.chosen else None
    every, epochs = split_time(left, epoch, validating, given)
    if left < epoch:
        print(
            f"warning: --minutes={config.minutes:g} is too short: building graphs and evaluating "
            f"take about {describe_duration(60 * config.minutes - left)} here; one epoch remains",
            flush=True,
        )
    print(
        f"notice: --minutes={config.minutes:g}: {epochs} epoch{'s' if epochs > 1 else ''} of "
        f"{describe_duration(epoch)} (--epochs={epochs} --validate_every={every})",
        flush=True,
    )
    return config.replace(epochs=epochs, validate_every=every)


def say_chosen(config):
    """Says that the epochs of a run that has begun stay, whatever its `minutes` are now."""
    chosen = f"--epochs={config.epochs}, chosen when this run began"
    advice = "another length wants another --workdir"
    print(f"notice: --minutes={config.minutes:g}: {chosen}; {advice}", flush=True)


def split_time(seconds, epoch, validation, every=None):
    """Returns (epochs between two validations, epochs) that fill a time, at least 1 of each.

    Args:
        seconds: the time.
        epoch, validation: what one of each takes, in seconds.
        every: the epochs between two validations, where they are given.

    Example:
        >>> split_time(100, epoch=2, validation=0.1), split_time(100, epoch=1, validation=0.5)
        ((1, 47), (5, 90))
    """
    chosen = every or max(1, round(validation / (VALIDATION_SHARE * epoch)))
    epochs = max(int(max(seconds, 0) / (epoch + validation / chosen)), 1)
    return every or min(chosen, epochs), epochs


def _seconds_of_steps(config, method, train):
    """Returns what tracing a step takes, and a step."""
    durations = _Durations()
    batches = training_batches(
        train, global_batch_size=config.global_batch_size, seed=config.seed, start_step=0
    )
    settings = {"steps_per_epoch": NUM_STEPS, "verbose": 0, "callbacks": [durations]}
    # The batches come in the order of (seed, epoch).
    method.fit(batches, shuffle=False, **settings)
    first, *others = durations.seconds
    step = statistics.median(others)
    return max(first - step, 0.0), step


def _seconds_to_save(method):
    """Returns what writing a checkpoint takes, which follows each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tf.train.Checkpoint(method=method).write(f"{folder}/ckpt")
        return time.perf_counter() - began


class _Durations(keras.callbacks.Callback):
    """Keeps how long each step took."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self._began)
