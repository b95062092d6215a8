"""AutoAttack: a parameter-free ensemble of attacks, for any TensorFlow classifier.

    attack = AutoAttack(model, epsilon=8 / 255, num_classes=10)
    result = attack(images, labels)
    print(result.robust_accuracy, result.robust["apgd-ce"].mean())

Croce and Hein 2020, arXiv:2003.01690. Images are float32 [N, H, W, C] in [0, 1].
"""

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import arguments, model_checks, norms
from ascl_tf.attacks.autoattack_run import AttackProgress, Data, Progress, Run, percent
from ascl_tf.attacks.autoattack_state import StateFile
from ascl_tf.attacks.autoattack_versions import PlannedAttack, plan
from ascl_tf.attacks.logits import as_logits_function, check_logits_function
from ascl_tf.attacks.runners import batches, make_runner

# Answers to so many images tell one model from another in a state file.
_NUM_STATE_IMAGES = 8


@dataclasses.dataclass(frozen=True)
class AutoAttackResult:
    """Result of an ensemble of attacks on a classifier.

    Attributes:
        adversarial_images: float32 [N, H, W, C]: a misclassified image in the ball and the box if
            an attack succeeded, else the clean image.
        robust: attack name -> bool [N]: still classified correctly after that attack and
            those before it, in order. Attacks that had no image left are absent.
        robust_accuracy: percent of all images that withstood every attack.
        correct: bool [N], classified correctly without an attack.
        standard_accuracy: the same in percent.
        version: name of the ensemble.
        seconds: attack name -> time spent on it.
        warnings: name -> explanation of everything suspicious, see `docs/autoattack.md`.
    """

    adversarial_images: np.ndarray
    robust: dict[str, np.ndarray]
    robust_accuracy: float
    correct: np.ndarray
    standard_accuracy: float
    version: str
    seconds: dict[str, float]
    warnings: dict[str, str]


class AutoAttack:
    """Ensemble of attacks, called on images and labels.

    Only images that are still classified correctly go to the next attack. Images that are
    misclassified without an attack are not attacked and count as not robust. The random numbers
    of an image depend on `seed` and its place among the images, not on the batch size or on the
    other images.

    Args:
        logits_fn: a Keras 3 or Keras 2 model, a SavedModel signature, or any function
            from images [B, H, W, C] to logits [B, num_classes]. It is traced once, in
            a graph, for any number of images.
        epsilon: radius of the ball in [0, 1] pixel units, such as 8 / 255; > 0.
        num_classes: Python int >= 2.
        norm: `linf` or `l2`.
        version: `standard` (APGD-CE, APGD-T, FAB-T, Square), `plus`, `rand` (for
            classifiers with random output), `fast` (only APGD-CE and APGD-T; not the
            published evaluation), or `custom`.
        seed: Python int of 32 bits.
        batch_size: number of images to attack at once, limited by memory.
        attacks: for `custom`: any of `apgd-ce`, `apgd-dlr`, `apgd-t`, `fab`, `fab-t`,
            `square`, in order.
        settings: for `custom`: attack name -> any of `num_restarts`, `num_steps` (all but
            Square), `num_queries` (Square), `eot_iter` (APGD), `num_targets` (targeted).

    Raises:
        ValueError: if an argument does not fit the above.

    Example:
        >>> def logits_fn(images):
        ...     return tf.reduce_mean(images, axis=[1, 2])
        >>> near, far = np.full([2, 4, 4, 3], 0.2, np.float32)  # Of the boundary between classes.
        >>> near[..., 0], near[..., 1], far[..., 0] = 0.5, 0.49, 0.5
        >>> attack = AutoAttack(
        ...     logits_fn,
        ...     epsilon=8 / 255,
        ...     num_classes=3,
        ...     version="custom",
        ...     attacks=["square"],
        ...     settings={"square": {"num_queries": 20}},
        ... )
        >>> result = attack(np.stack([near, far]), [0, 0])
        >>> print(result.standard_accuracy, result.robust_accuracy, result.robust["square"])
        100.0 50.0 [False  True]
    """

    def __init__(
        self,
        logits_fn: Callable[..., Any],
        *,
        epsilon: float,
        num_classes: int,
        norm: str = "linf",
        version: str = "standard",
        seed: int = 0,
        batch_size: int = 250,
        attacks: Sequence[str] | None = None,
        settings: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        arguments.check_positive(epsilon=epsilon)
        arguments.check_choice("norm", norm, norms.NORMS)
        arguments.check_integer("num_classes", num_classes, 2)
        arguments.check_integer("batch_size", batch_size, 1)
        arguments.check_integer("seed", seed, -(2**31), 2**31 - 1)
        self._attacks, self._left_out = plan(
            version, attacks=attacks, settings=settings, num_classes=num_classes
        )
        self._untraced = as_logits_function(logits_fn)
        self._epsilon, self._norm = float(epsilon), norm
        self._num_classes, self._version = num_classes, version
        self._seed, self._batch_size = seed, batch_size
        self._image_shape: tuple[int, ...] | None = None
        self._predict: Any = None
        self._runners: dict[PlannedAttack, Callable[..., tf.Tensor]] = {}

    def __call__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        state_path: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Callable[[AttackProgress], None] | None = None,
        model_sha256: str | None = None,
    ) -> AutoAttackResult:
        """Attacks the images and returns an `AutoAttackResult`.

        Warnings about the classifier are in the result, and are also issued as
        `AutoAttackWarning`s.

        Args:
            images: float [N, H, W, C] in [0, 1].
            labels: int [N].
            state_path: file to save the state in after every batch, or None.
            resume: whether to continue from `state_path` if it exists. If it exists and
                `resume` is False, that is an error.
            progress: callable that receives an `AttackProgress` after every batch.
            model_sha256: string that identifies the model in the state, or None.

        Raises:
            ValueError: if images, labels or the results of `logits_fn` do not fit the above.
            RunError: if the state belongs to another run or cannot be written or read, or if
                logits or gradients are no longer finite.
        """
        images, labels = _as_arrays(images, labels)
        data, logits = self._prepare(images, labels)
        found = {**self._skipped(), **self._check(data)}
        state_file = None
        if state_path is not None:
            identity = self._identity(images, labels, model_sha256)
            state_file = StateFile(state_path, identity=identity, logits=logits[:_NUM_STATE_IMAGES])
        elif resume:
            raise ValueError("`resume` needs a `state_path`; received None.")
        result = self._attack(self._attacks, data, found, state_file, resume, progress)
        _warn(result.warnings)
        return result

    def check_state(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        state_path: str | os.PathLike[str],
        *,
        model_sha256: str | None = None,
    ) -> None:
        """Checks a state, if there is one, as a call with `resume` does, but attacks nothing.

        It does not call the model, so only `model_sha256` tells it from another one.

        Args:
            images, labels, state_path, model_sha256: as in a call.

        Raises:
            RunError: if the state is damaged or belongs to another run.
        """
        images, labels = _as_arrays(images, labels)
        identity = self._identity(images, labels, model_sha256)
        state_file = StateFile(state_path, identity=identity, logits=None)
        if state_file.exists():
            saved = state_file.load()["saved_images"]
            state_file.load_images(saved, images.astype(np.float32))

    def individually(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        progress: Callable[[AttackProgress], None] | None = None,
    ) -> dict[str, AutoAttackResult]:
        """Returns attack name -> result of attacking all images with that attack alone.

        Args:
            images, labels, progress: as in a call.
        """
        images, labels = _as_arrays(images, labels)
        data, _ = self._prepare(images, labels)
        found = {**self._skipped(), **self._check(data)}
        _warn(found)
        return {
            attack.name: self._attack((attack,), data, found, None, False, progress)
            for attack in self._attacks
        }

    def _attack(
        self,
        attacks: Sequence[PlannedAttack],
        data: Data,
        found: Mapping[str, str],
        state_file: StateFile | None,
        resume: bool,
        report: Callable[[AttackProgress], None] | None,
    ) -> AutoAttackResult:
        done = Progress.begin(data)
        if state_file is not None and resume and state_file.exists():
            done = Progress.from_state(state_file.load(), data, state_file)
        elif state_file is not None:
            state_file.begin()
        run = Run(
            attacks,
            {attack: self._runner(attack) for attack in attacks},
            self._predict,
            data,
            epsilon=self._epsilon,
            norm=self._norm,
            seed=self._seed,
            batch_size=self._batch_size,
        )
        run.carry_out(done, state_file=state_file, report=report)
        accuracies = {name: percent(robust) for name, robust in done.finished.items()}
        stronger = model_checks.square_stronger(accuracies)
        found = {**found, **({"square_stronger": stronger} if stronger else {})}
        return AutoAttackResult(
            adversarial_images=done.adversarial_images,
            robust=done.finished,
            robust_accuracy=percent(done.robust),
            correct=data.is_correct,
            standard_accuracy=percent(data.is_correct),
            version=self._version,
            seconds=done.seconds,
            warnings=found,
        )

    def _prepare(self, images: np.ndarray, labels: np.ndarray) -> tuple[Data, np.ndarray]:
        """Returns (data, clean logits) after checking everything."""
        arguments.check_shapes(images, labels)
        self._trace(images.shape[1:])
        arguments.check_values(images, labels, self._num_classes)
        images, labels = images.astype(np.float32), labels.astype(np.int32)
        logits = self._clean_logits(images)
        # The first of equal logits counts as the larger one, as in argmax.
        ranked = np.argsort(-logits, axis=1, kind="stable").astype(np.int32)
        return Data(images, labels, ranked[:, 0] == labels, ranked[:, 1:]), logits

    def _clean_logits(self, images: np.ndarray) -> np.ndarray:
        parts = []
        for rows, num_real in batches(np.arange(len(images)), self._batch_size):
            logits = self._predict(tf.constant(images[rows])).numpy()
            arguments.check_logits(logits, images[rows])
            parts.append(logits[:num_real])
        logits = np.concatenate(parts)
        if not np.all(np.isfinite(logits)):
            raise ValueError("`logits_fn` must return finite logits; received NaN or infinity.")
        return logits

    def _trace(self, image_shape: tuple[int, ...]) -> None:
        if self._image_shape == image_shape:
            return
        signature = [tf.TensorSpec([None, *image_shape], tf.float32)]
        predict = tf.function(self._untraced, input_signature=signature, autograph=False)
        needs_gradient = any(attack.needs_gradient for attack in self._attacks)
        check_logits_function(
            self._untraced, predict, image_shape, self._num_classes, needs_gradient
        )
        self._image_shape, self._predict, self._runners = image_shape, predict, {}

    def _runner(self, attack: PlannedAttack) -> Callable[..., tf.Tensor]:
        if attack not in self._runners:
            self._runners[attack] = make_runner(
                attack,
                self._predict,
                self._image_shape,
                num_classes=self._num_classes,
                epsilon=self._epsilon,
                norm=self._norm,
            )
        return self._runners[attack]

    def _skipped(self) -> dict[str, str]:
        return {f"left_out_{name}": message for name, message in self._left_out.items()}

    def _check(self, data: Data) -> dict[str, str]:
        rows = model_checks.spread_rows(data.labels)
        needs_gradient = any(attack.needs_gradient for attack in self._attacks)
        return model_checks.check_model(
            self._predict,
            self._predict if needs_gradient else None,
            data.images[rows],
            data.labels[rows],
            loss="dlr",
            expects_random=self._version == "rand",
        )

    def _identity(self, images: np.ndarray, labels: np.ndarray, model_sha256: str | None) -> Any:
        digest = hashlib.sha256(np.ascontiguousarray(images, np.float32).tobytes())
        digest.update(np.ascontiguousarray(labels, np.int64).tobytes())
        identity = {
            "model": model_sha256,
            # Before the hash: of another number of images that says more.
            "num_images": len(labels),
            "data": digest.hexdigest(),
            "epsilon": self._epsilon,
            "norm": self._norm,
            "version": self._version,
            "seed": self._seed,
            "num_classes": self._num_classes,
            "attacks": [dataclasses.asdict(attack) for attack in self._attacks],
        }
        return json.loads(json.dumps(identity))


def _warn(found: Mapping[str, str]) -> None:
    for name, message in found.items():
        warnings.warn(f"{name}: {message}", model_checks.AutoAttackWarning, stacklevel=3)


def _as_arrays(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return arguments.as_array("images", images), arguments.as_array("labels", labels)
