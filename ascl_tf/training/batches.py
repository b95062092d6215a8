"""How many images a step takes where the data set holds fewer than a batch of the default size."""


def fit_batch(config, name, batch_size, num_images, num_replicas):
    """Returns the config with a batch that is cut to the training images there are; says so.

    What the user has chosen stays, but for `--smoke`, which has asked for few images.

    Args:
        config: `Config`.
        name: of the setting that is cut.
        batch_size: what it stands for now.
        num_images: training images of the stage.
        num_replicas: the batch is a multiple of it.
    """
    largest = num_images // num_replicas * num_replicas
    if batch_size <= largest or largest == 0 or (name in config.chosen and not config.smoke):
        return config
    print(
        f"notice: batches of {largest} (--{name}), not {batch_size}: only {num_images} "
        "training images",
        flush=True,
    )
    return config.replace(**{name: largest})
