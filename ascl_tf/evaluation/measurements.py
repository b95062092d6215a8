"""Names that `--protocol` takes beside protocols: each gives not one number but several."""

from ascl_tf.evaluation.protocols import PROTOCOLS, get_protocol
from ascl_tf.evaluation.sweeps import SWEEP_EPSILON, SWEEP_STEPS, sweep_epsilons, sweep_steps

CORRUPTIONS = "corruptions"
# What `evaluate_corruptions` takes in place of a folder.
_GENERATED, _TFDS = "generated", "tfds"


def get_protocol_or_measurement(name):
    """Returns the `Protocol` called `name`, or `name` itself if it is one of `MEASUREMENTS`.

    Raises:
        ValueError: if it is neither; lists the known names and the nearest protocol.
    """
    if name in MEASUREMENTS:
        return name
    try:
        return get_protocol(name)
    except ValueError as error:
        expected = f"one of {', '.join(sorted(PROTOCOLS))}"
        more = f"{expected}, {', '.join(MEASUREMENTS)}"
        raise ValueError(str(error).replace(expected, more, 1)) from None


def measure(name, attacks, dataset, *, corruption_settings, **settings):
    """Returns the records of one of `MEASUREMENTS`.

    Args:
        name: one of `MEASUREMENTS`.
        attacks: `CompiledAttacks` of a classifier.
        dataset: as `evaluate_robustness`.
        corruption_settings: as `prepare_corruptions` returns them; None for none.
        **settings: `batch_size`, `seed`, `num_images`, `progress` and `model_sha256`, as there.

    Raises:
        ValueError, RunError: as the functions that measure.
    """
    if name != CORRUPTIONS:
        return MEASUREMENTS[name](attacks, dataset, **settings)
    return _corruptions(attacks.classifier, dataset, **settings, **(corruption_settings or {}))


def prepare_corruptions(*, corruption_dir="", frost_dir="", data_dir=None):
    """Returns what `evaluate_corruptions` needs to know of files, which are looked at here.

    Args:
        corruption_dir: folder of CIFAR-10-C's .npy files; "tfds" for `cifar10_corrupted` of
            `data_dir`; empty: the images are made.
        frost_dir: folder of the photographs of frost; empty: what is at hand.
        data_dir: folder of prepared TFDS sets, or None.

    Raises:
        RunError: if a file is missing or damaged, before anything is measured.
    """
    # Imported late: only those who ask for corruptions pay for their libraries.
    from ascl_tf.data.corruption_files import CorruptionFolder
    from ascl_tf.data.corruptions import load_frost_textures

    if corruption_dir not in ("", _TFDS):
        CorruptionFolder(corruption_dir)
    textures = None if corruption_dir else load_frost_textures(frost_dir or None)
    return {
        "source": corruption_dir or _GENERATED,
        "frost_textures": textures,
        "data_dir": data_dir,
    }


def _corruptions(classifier, dataset, **settings):
    # As above.
    from ascl_tf.evaluation.common_corruptions import evaluate_corruptions

    return evaluate_corruptions(classifier, dataset, **settings)


MEASUREMENTS = {
    SWEEP_STEPS: sweep_steps,
    SWEEP_EPSILON: sweep_epsilons,
    CORRUPTIONS: _corruptions,
}
