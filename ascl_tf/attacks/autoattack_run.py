"""One pass of an ensemble of attacks over a set of images, batch by batch."""

import dataclasses
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks import norms
from ascl_tf.attacks.autoattack_versions import ATTACKS
from ascl_tf.attacks.runners import batches
from ascl_tf.errors import RunError

# float32 arithmetic on pixels is exact to 6e-8; more than this is a broken attack. The
# l2 norm of a few thousand of them is exact to its share.
_TOLERANCE = {"linf": 1e-6, "l2": 1e-5}
# Keeps these draws apart from those of training and of other attacks with the same seed.
_RANDOM_STREAM = 0xAA77
_ORDER = {name: number for number, name in enumerate(ATTACKS)}


class AttackProgress(NamedTuple):
    """Progress of a run after a batch.

    Attributes:
        attack: name of the current attack.
        num_robust: number of images that are still classified correctly.
        robust_accuracy: the same in percent of all images.
        num_done, num_to_do: images attacked so far and in total, counted again in each restart.
        seconds_left: expected time to the end of this attack.
    """

    attack: str
    num_robust: int
    robust_accuracy: float
    num_done: int
    num_to_do: int
    seconds_left: float


class Data(NamedTuple):
    """Images under attack, as arrays.

    Attributes:
        images: [N, H, W, C] float32. labels: int32 [N].
        is_correct: bool [N], classified correctly without an attack.
        ranked_classes: int32 [N, T]: the classes of the 2nd, 3rd ... largest clean logit.
    """

    images: np.ndarray
    labels: np.ndarray
    is_correct: np.ndarray
    ranked_classes: np.ndarray


@dataclasses.dataclass
class Progress:
    """Everything that changes during a run, which is what a state file holds.

    Attributes:
        robust: bool [N], still classified correctly.
        at_round_start: bool [N], the same when this round began: the round's images.
        adversarial_images: [N, H, W, C].
        attack, round, offset: indices of the next batch: which attack, which of its
            restarts, and how many of that round's images are done.
        finished: attack name -> bool [N], still classified correctly after it.
        seconds: attack name -> time spent on it.
        num_done: images done by the current attack, counted again in each restart.
        saved_images: (name, checksum) of the state's files of adversarial images, in order.
    """

    robust: np.ndarray
    at_round_start: np.ndarray
    adversarial_images: np.ndarray
    attack: int = 0
    round: int = 0
    offset: int = 0
    finished: dict = dataclasses.field(default_factory=dict)
    seconds: dict = dataclasses.field(default_factory=dict)
    num_done: int = 0
    saved_images: list = dataclasses.field(default_factory=list)

    @classmethod
    def begin(cls, data):
        """Returns the progress of a run that has not started."""
        return cls(data.is_correct.copy(), data.is_correct.copy(), data.images.copy())

    @classmethod
    def from_state(cls, saved, data, state_file):
        """Returns the progress in a state file."""
        progress = cls.begin(data)
        for name in ("attack", "round", "offset", "seconds", "num_done", "saved_images"):
            setattr(progress, name, saved[name])
        progress.robust = _from_digits(saved["robust"])
        progress.at_round_start = _from_digits(saved["at_round_start"])
        progress.finished = {k: _from_digits(v) for k, v in saved["finished"].items()}
        state_file.load_images(progress.saved_images, progress.adversarial_images)
        return progress

    def as_state(self):
        """Returns the contents of a state file, without the images."""
        return {
            "attack": self.attack,
            "round": self.round,
            "offset": self.offset,
            "seconds": self.seconds,
            "num_done": self.num_done,
            "saved_images": self.saved_images,
            "robust": _as_digits(self.robust),
            "at_round_start": _as_digits(self.at_round_start),
            "finished": {name: _as_digits(robust) for name, robust in self.finished.items()},
        }


class Run:
    """Runs the attacks of an ensemble on images that are still robust.

    Args:
        attacks: tuple of `PlannedAttack`.
        runners: attack -> function as `make_runner` returns it.
        predict: callable images -> logits.
        data: a `Data`.
        epsilon, norm: the ball.
        seed: Python int.
        batch_size: Python int >= 1.
    """

    def __init__(self, attacks, runners, predict, data, *, epsilon, norm, seed, batch_size):
        self._attacks, self._runners = attacks, runners
        self._predict, self._data = predict, data
        self._epsilon, self._norm = epsilon, norm
        self._seed, self._batch_size = seed, batch_size

    def carry_out(self, progress, *, state_file=None, report=None):
        """Attacks from `progress` to the end, and updates `progress`.

        Args:
            progress: a `Progress`.
            state_file: a `StateFile` to write after every batch, or None.
            report: callable that receives an `AttackProgress` after every batch, or None.
        """
        while progress.attack < len(self._attacks) and self._some_left(progress):
            attack = self._attacks[progress.attack]
            while progress.round < attack.num_restarts:
                self._carry_out_round(attack, progress, state_file, report)
            progress.finished[attack.name] = progress.robust.copy()
            progress.attack, progress.round, progress.num_done = progress.attack + 1, 0, 0
            if state_file is not None:
                state_file.save(progress.as_state())

    def _some_left(self, progress):
        # An attack that was begun is finished, so that it stands in the result.
        return progress.robust.any() or progress.round > 0 or progress.offset > 0

    def _carry_out_round(self, attack, progress, state_file, report):
        rows = np.flatnonzero(progress.at_round_start)[progress.offset :]
        # All targets of an image are tried in one batch: full batches are the quicker ones.
        num_images = max(1, self._batch_size // attack.num_runs)
        for batch, num_real in batches(rows, num_images):
            began = time.perf_counter()
            self._attack_batch(attack, progress, batch, num_real, state_file)
            spent = progress.seconds.get(attack.name, 0.0) + time.perf_counter() - began
            progress.seconds[attack.name] = spent
            progress.offset += num_real
            progress.num_done += num_real
            if state_file is not None:
                state_file.save(progress.as_state())
            if report is not None:
                report(self._where(attack, progress))
        progress.round, progress.offset = progress.round + 1, 0
        progress.at_round_start = progress.robust.copy()

    def _attack_batch(self, attack, progress, batch, num_real, state_file):
        images, labels = self._data.images[batch], self._data.labels[batch]
        candidates = self._run_targets(attack, progress.round, batch)
        num_runs = attack.num_runs
        shape = (num_runs, len(batch))
        logits = self._predict(candidates).numpy()
        self._recheck(attack, candidates.numpy(), _tile(images, num_runs), logits)
        fooled = logits.argmax(axis=1).reshape(shape) != labels
        # Of the targets that succeed the most likely class's image is kept.
        candidates = candidates.numpy().reshape(*shape, *images.shape[1:])
        first = candidates[fooled.argmax(axis=0), np.arange(len(batch))]
        found = np.flatnonzero(fooled.any(axis=0)[:num_real])
        rows, candidates = batch[found], first[found]
        progress.robust[rows] = False
        progress.adversarial_images[rows] = candidates
        if state_file is not None and len(rows):
            number = len(progress.saved_images)
            progress.saved_images.append(state_file.save_images(number, rows, candidates))

    def _run_targets(self, attack, restart, batch):
        """Returns candidates [T * B, H, W, C], target by target."""
        num_runs = attack.num_runs
        images, labels = self._data.images[batch], self._data.labels[batch]
        targets = self._data.ranked_classes[batch, :num_runs].T.reshape(-1)
        rounds = [target * attack.num_restarts + restart for target in range(num_runs)]
        return self._runners[attack](
            tf.constant(_tile(images, num_runs)),
            tf.constant(np.tile(labels, num_runs)),
            tf.constant(targets),
            tf.constant(restart),
            tf.concat([self._seeds(attack, number, batch) for number in rounds], axis=0),
            owners=np.tile(np.arange(len(batch)), num_runs),
        )

    def _seeds(self, attack, number, batch):
        # An attack draws the same for an image wherever it stands in an ensemble.
        stream = tf.constant([self._seed, _RANDOM_STREAM + _ORDER[attack.name]], tf.int32)
        pair = randomness.fold_in(stream, number)
        return randomness.position_seeds(pair, tf.constant(batch))

    def _recheck(self, attack, candidates, images, logits):
        """Raises RunError unless everything is finite, in the ball and in the box."""
        if not np.all(np.isfinite(candidates)) or not np.all(np.isfinite(logits)):
            raise RunError(
                f"`logits_fn` must return finite logits and gradients; {attack.name} met NaN or "
                "infinity"
            )
        limit = self._epsilon + _TOLERANCE[self._norm] * max(1.0, self._epsilon)
        length = float(np.max(norms.lengths(candidates - images, self._norm)))
        if length > limit or candidates.min() < 0 or candidates.max() > 1:
            raise RunError(
                f"{attack.name}: expected images in [0, 1] within {self._epsilon:g}; the attack "
                f"returned distance {length:.8g}, values from {candidates.min():g} to "
                f"{candidates.max():g}"
            )

    def _where(self, attack, progress):
        num_robust = int(progress.robust.sum())
        in_round = int(progress.at_round_start.sum()) - progress.offset
        in_rounds = (attack.num_restarts - progress.round - 1) * num_robust
        to_do = in_round + in_rounds
        seconds_left = progress.seconds[attack.name] / progress.num_done * to_do
        return AttackProgress(
            attack=attack.name,
            num_robust=num_robust,
            robust_accuracy=percent(progress.robust),
            num_done=progress.num_done,
            num_to_do=progress.num_done + to_do,
            seconds_left=seconds_left,
        )


def _tile(images, times):
    return np.tile(images, (times, *[1] * (images.ndim - 1)))


def percent(flags):
    """Returns the share of True in percent."""
    return 100.0 * float(np.mean(flags))


def _as_digits(flags):
    return "".join("1" if flag else "0" for flag in flags)


def _from_digits(digits):
    return np.array([digit == "1" for digit in digits], bool)
