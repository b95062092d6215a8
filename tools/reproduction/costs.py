"""How long a step takes, roughly, on one CPU core; corrected by what has been measured."""

from ascl_tf.config import VARIANT, split_protocols

# Forward passes of one image a second on one core at width 8, with all that a run does beside its
# steps, which alone make 1,450.
PASSES_PER_SECOND = 1200.0
NETWORK_WIDTH = 8
# At width 16 a step takes 2.8 times as long: small networks leave part of a core idle.
EXPONENT = 1.5
# Starting, tracing and saving; in training, validating too.
STEP = 25.0
TRAINING = 60.0
SMOKE_STEP = 8.0
# Forward passes per test image of an evaluation, of pgd20 at a robust accuracy of a fifth; images
# that fall early are left out.
PASSES = {
    "standard": 1,
    "fgsm": 3,
    "pgd20": 13,
    "pgd20_eps16": 10,
    "pgd20_step_tenth": 21,
    "cleverhans_pgd20": 90,
    "autoattack": 1550,
    "autoattack_fast": 500,
    "sweep_steps": 140,
    "sweep_epsilon": 360,
    "corruptions": 200,
}
# Of transfer, per source: no image falls early.
TRANSFER = 48
# Seconds of a figure on one core at width 8, per model, for the images that preset cpu takes.
FIGURES = {
    "inversion": 90,
    "tsne": 22,
    "input_landscape": 160,
    "weight_landscape": 155,
    "calibration": 60,
}
NUM_TEST_IMAGES = 10_000
NUM_TRAIN_IMAGES = 45_000


def training(preset, config, units, epochs):
    """Returns the seconds of a stage of training."""
    if preset.is_smoke:
        return SMOKE_STEP
    num_images = config.num_train_images or NUM_TRAIN_IMAGES
    return TRAINING + units * epochs * num_images / _passes_per_second(config)


def evaluation(preset, config, protocols, num_images=0, checkpoints=2):
    """Returns the seconds of an evaluation, of the best and the last checkpoint."""
    if preset.is_smoke:
        return SMOKE_STEP / 2
    passes = sum(PASSES.get(name.partition(VARIANT)[0], 30) for name in protocols) * checkpoints
    num_images = num_images or config.num_images or NUM_TEST_IMAGES
    return STEP + passes * num_images / _passes_per_second(config)


def measuring(preset, config, settings):
    """Returns the seconds of a call of ascl_tf.evaluate on one exported model."""
    protocols = split_protocols(str(settings.get("protocol", "pgd20")))
    num_images = int(settings.get("num_images", 0))
    return evaluation(preset, config, protocols, num_images, checkpoints=1)


def transfer(preset, config, num_models):
    """Returns the seconds of a matrix of transfer."""
    if preset.is_smoke:
        return SMOKE_STEP / 2
    num_images = config.num_images or NUM_TEST_IMAGES
    return STEP + TRANSFER * num_models * num_images / _passes_per_second(config)


def drawing(preset, config, name, num_models):
    """Returns the seconds of a figure of models."""
    return SMOKE_STEP if preset.is_smoke else num_models * FIGURES[name] * _relative_cost(config)


def _passes_per_second(config):
    return PASSES_PER_SECOND / _relative_cost(config)


def _relative_cost(config):
    return (config.width / NETWORK_WIDTH) ** EXPONENT
