"""Names that `--protocol` takes beside protocols: each gives not one number but several."""

from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.evaluation.sweeps import SWEEP_EPSILON, SWEEP_STEPS, sweep_epsilons, sweep_steps

CORRUPTIONS = "corruptions"
# What `evaluate_corruptions` takes in place of a folder where there is none.
_GENERATED = "generated"


def get_protocol_or_measurement(name):
    """Returns the `Protocol` called `name`, or `name` itself if it is one of `MEASUREMENTS`.

    Raises:
        ConfigError: if it is neither; lists the known names and the nearest protocol.
    """
    if name in MEASUREMENTS:
        return name
    return get_protocol(name, also=MEASUREMENTS)


def measure(name, attacks, dataset, *, corruption_settings, **settings):
    """Returns the records of one of `MEASUREMENTS`.

    Args:
        name: one of `MEASUREMENTS`.
        attacks: `CompiledAttacks` of a classifier.
        dataset: as `evaluate_robustness`.
        corruption_settings: as `prepare_corruptions` returns them; None for none.
        **settings: `batch_size`, `seed`, `num_images`, `progress`, `model_sha256` and
            `on_records`, as there.

    Raises:
        ValueError, RunError: as the functions that measure.
    """
    if name != CORRUPTIONS:
        return MEASUREMENTS[name](attacks, dataset, **settings)
    return _corruptions(attacks.classifier, dataset, **settings, **(corruption_settings or {}))


def prepare_corruptions(
    dataset, *, corruption_dir="", frost_dir="", data_dir=None, seed=0, num_images=None
):
    """Returns what `evaluate_corruptions` needs to know of files; everything is checked here.

    Args:
        dataset, seed, num_images: as `evaluate_corruptions` will get them.
        corruption_dir: folder of CIFAR-10-C's .npy files; "tfds" for `cifar10_corrupted` of
            `data_dir`; empty: the images are made.
        frost_dir: folder of the photographs of frost; empty: what is at hand.
        data_dir: folder of prepared TFDS sets, or None.

    Raises:
        RunError: if a file is missing or damaged, or if images do not fit, before anything is
            measured.
    """
    # Imported late: only those who ask for corruptions pay for their libraries.
    from ascl_tf.data.corruptions import load_frost_textures
    from ascl_tf.evaluation.common_corruptions import check_corruptions

    settings = {
        "source": corruption_dir or _GENERATED,
        "frost_textures": None if corruption_dir else load_frost_textures(frost_dir or None),
        "data_dir": data_dir,
    }
    check_corruptions(dataset, seed=seed, num_images=num_images, **settings)
    return settings


def _corruptions(classifier, dataset, **settings):
    # As above.
    from ascl_tf.evaluation.common_corruptions import evaluate_corruptions

    return evaluate_corruptions(classifier, dataset, **settings)


MEASUREMENTS = {
    SWEEP_STEPS: sweep_steps,
    SWEEP_EPSILON: sweep_epsilons,
    CORRUPTIONS: _corruptions,
}
