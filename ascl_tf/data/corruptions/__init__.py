"""The 19 common corruptions of CIFAR-10-C at 5 severities, for whole batches.

    corrupted = corrupt(images, "gaussian_noise", 3, seed=0)

Definitions and constants are those of the published data set (Hendrycks and Dietterich 2019,
arXiv:1903.12261); its random numbers are not, since it was made without a seed.
"""

from ascl_tf.data.corruptions.corrupt import (
    BENCHMARK_CORRUPTIONS,
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SEVERITIES,
    check_images,
    corrupt,
)
from ascl_tf.data.corruptions.frost_textures import FrostTextures, load_frost_textures

__all__ = [
    "BENCHMARK_CORRUPTIONS",
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "SEVERITIES",
    "FrostTextures",
    "check_images",
    "corrupt",
    "load_frost_textures",
]
