"""AutoAttack as a protocol: attacks that go over the whole set one after the other."""

import dataclasses
import os
import pathlib
import warnings

import numpy as np

from ascl_tf.attacks import AutoAttack
from ascl_tf.attacks.autoattack_run import percent
from ascl_tf.attacks.autoattack_state import check_no_state, delete_state
from ascl_tf.attacks.autoattack_versions import VERSIONS
from ascl_tf.attacks.model_checks import AutoAttackWarning
from ascl_tf.errors import RunError
from ascl_tf.evaluation.batch_attacks import longest
from ascl_tf.evaluation.measurement import Outcome

# The `kind` of such a protocol.
AUTOATTACK = "autoattack"


@dataclasses.dataclass(frozen=True)
class AutoAttackOptions:
    """What a long evaluation by AutoAttack leaves behind while it runs, and after.

    Attributes:
        state_path: beginning of the state files' names; `.<protocol>.state` follows. None: the
            state is not kept.
        resume: whether to continue from there.
        images_path: npz file for `images` (adversarial where an attack succeeded, clean
            elsewhere), `labels` and `is_robust`; None: they are not kept.
    """

    state_path: str | None = None
    resume: bool = False
    images_path: str | None = None

    def state_file(self, protocol):
        """Returns the path of a protocol's state, or None."""
        if self.state_path is None:
            return None
        # No folder for what stands before the slash of a radius.
        name = protocol.name.replace("/", "-")
        return pathlib.Path(f"{self.state_path}.{name}.state")

    def is_begun(self, protocols):
        """Returns whether one of these protocols has left a state."""
        files = [self.state_file(p) for p in protocols if p.kind == AUTOATTACK]
        return any(file is not None and file.exists() for file in files)

    def check(self, protocols):
        """Raises RunError if a state of an earlier run lies where one would be begun."""
        files = [self.state_file(p) for p in protocols if p.kind == AUTOATTACK]
        for file in files:
            if file is not None and not self.resume:
                check_no_state(file)

    def forget(self, protocols):
        """Removes the states of these protocols, once their records are safe."""
        for protocol in protocols:
            if self.state_path is not None and protocol.kind == AUTOATTACK:
                delete_state(self.state_file(protocol))


def check_states(measurement, protocols, options):
    """Raises RunError if a state to be continued is damaged, or of another evaluation.

    Args:
        measurement, options: as below.
        protocols: list of `Protocol`, of any kind.
    """
    begun = [p for p in protocols if options.resume and options.is_begun([p])]
    for protocol in begun:
        _make_attack(measurement, protocol).check_state(
            *measurement.data.rows(slice(None)),
            options.state_file(protocol),
            model_sha256=measurement.shared["model_sha256"],
        )


def autoattack_outcome(measurement, protocol, options):
    """Carries out AutoAttack on the whole set.

    Args:
        measurement: the `Measurement` of a model.
        protocol: a `Protocol` of kind `autoattack`; its option `version` names the attacks,
            `standard` if absent, and `norm` that of the ball.
        options: `AutoAttackOptions`.

    Returns:
        (`Outcome`, fields of its record): `attacks` (name -> robust accuracy, seconds and a
        digit per image: what is left after that attack) and `planned_attacks` (every number of
        each, which the version alone names).
    """
    images, labels = measurement.data.rows(slice(None))
    attack = _make_attack(measurement, protocol)
    with warnings.catch_warnings():
        # They stand in the record, and are shown with those of the other protocols.
        warnings.simplefilter("ignore", AutoAttackWarning)
        result = attack(
            images,
            labels,
            state_path=options.state_file(protocol),
            resume=options.resume,
            progress=_reporter(protocol, measurement.progress),
            model_sha256=measurement.shared["model_sha256"],
        )
    robust = list(result.robust.values())[-1] if result.robust else result.correct
    if options.images_path is not None:
        _save_images(options.images_path, result.adversarial_images, labels, robust)
    outcome = Outcome(
        robust,
        sum(result.seconds.values()),
        float(longest(result.adversarial_images - images, protocol.norm)),
        [{"name": name, "message": message} for name, message in result.warnings.items()],
    )
    return outcome, {
        "attacks": _after_each_attack(result),
        "planned_attacks": [
            dataclasses.asdict(planned) for planned in VERSIONS[_version(protocol)]
        ],
    }


def _version(protocol):
    return protocol.options.get("version", "standard")


def _make_attack(measurement, protocol):
    # The classifier as it came: a tie to its images would hide an absent gradient.
    return AutoAttack(
        measurement.attacks.classifier,
        epsilon=float(protocol.epsilon),
        num_classes=measurement.num_logits,
        norm=protocol.norm,
        version=_version(protocol),
        seed=measurement.seed,
        batch_size=measurement.batch_size,
    )


def _after_each_attack(result):
    return {
        name: {
            "robust_accuracy": percent(flags),
            "seconds": result.seconds.get(name, 0.0),
            "is_robust": "".join("1" if flag else "0" for flag in flags),
        }
        for name, flags in {"clean": result.correct, **result.robust}.items()
    }


def _reporter(protocol, progress):
    if progress is None:
        return None

    def report(step):
        note = f"{step.num_robust} left, robust accuracy {step.robust_accuracy:.2f} %"
        name = f"{protocol.name}: {step.attack}"
        progress(name, step.num_done, step.num_to_do, note=note)

    return report


def _save_images(path, images, labels, is_robust):
    target = pathlib.Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, images=images, labels=labels, is_robust=is_robust)
        os.replace(temporary, target)
    except OSError as error:
        raise RunError(
            f"{target}: expected a place for adversarial images that can be written; "
            f"found: {error.strerror}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
