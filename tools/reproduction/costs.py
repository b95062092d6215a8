"""How long a step takes, roughly, on one CPU core; corrected by what has been measured."""

from ascl_tf.config import VARIANT, split_protocols

# Forward passes of one image a second on one core at width 8, with all that a run does beside its
# steps, which alone make 1,450.
PASSES_PER_SECOND = 1200.0
NETWORK_WIDTH = 8
# At width 16 a step takes 2.8 times as long: small networks leave part of a core idle.
EXPONENT = 1.5
# Starting, tracing and saving.
STEP = 15.0
SMOKE_STEP = 8.0
# Forward passes per test image of an evaluation, of pgd20 at a robust accuracy of a fifth; images
# that fall early are left out.
PASSES = {
    "standard": 1,
    "fgsm": 3,
    "pgd20": 21,
    "pgd20_eps16": 15,
    "pgd20_step_tenth": 21,
    "cleverhans_pgd20": 90,
    "autoattack": 900,
    "autoattack_fast": 300,
    "sweep_steps": 200,
    "sweep_epsilon": 500,
    "corruptions": 200,
}
NUM_TEST_IMAGES = 10_000
NUM_TRAIN_IMAGES = 45_000


def training(preset, config, units, epochs):
    """Returns the seconds of a stage of training."""
    if preset.is_smoke:
        return SMOKE_STEP
    num_images = config.num_train_images or NUM_TRAIN_IMAGES
    return STEP + units * epochs * num_images / _passes_per_second(config)


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


def drawing(preset, config, num_models):
    """Returns the seconds of a figure."""
    return SMOKE_STEP if preset.is_smoke else num_models * 120 * _relative_cost(config)


def _passes_per_second(config):
    return PASSES_PER_SECOND / _relative_cost(config)


def _relative_cost(config):
    return (config.width / NETWORK_WIDTH) ** EXPONENT
