"""The constants of CIFAR-10-C: what each corruption is at severities 1 to 5.

Source: ImageNet-C/create_c/make_cifar_c.py of github.com/hendrycks/robustness (Hendrycks and
Dietterich 2019, arXiv:1903.12261). Lengths are in pixels of a 32 x 32 image, values in [0, 1],
unless said. The PyPI package `imagecorruptions` has those of 224 x 224 images instead.
"""

from typing import NamedTuple

SEVERITIES = (1, 2, 3, 4, 5)


class Defocus(NamedTuple):
    radius: float
    sigma: float


class Glass(NamedTuple):
    sigma: float
    num_rounds: int


class Motion(NamedTuple):
    radius: int
    sigma: float


class Snow(NamedTuple):
    mean: float
    spread: float
    zoom: float
    threshold: float
    radius: int
    sigma: float
    picture_share: float


class Frost(NamedTuple):
    image_share: float
    texture_share: float


class Fog(NamedTuple):
    amount: float
    decay: float


class Spatter(NamedTuple):
    mean: float
    spread: float
    sigma: float
    threshold: float
    strength: float
    is_mud: bool


class Saturate(NamedTuple):
    factor: float
    offset: float


class Elastic(NamedTuple):
    """In shares of the image's side, the shorter one."""

    displacement: float
    sigma: float
    jitter: float


GAUSSIAN_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation
SHOT_NOISE = (500, 250, 100, 75, 50)  # photons of a pixel of value 1
IMPULSE_NOISE = (0.01, 0.02, 0.03, 0.05, 0.07)  # share of the components replaced
SPECKLE_NOISE = (0.06, 0.10, 0.12, 0.16, 0.20)  # standard deviation, relative
GAUSSIAN_BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # standard deviation
DEFOCUS_BLUR = (
    Defocus(0.3, 0.4),
    Defocus(0.4, 0.5),
    Defocus(0.5, 0.6),
    Defocus(1.0, 0.2),
    Defocus(1.5, 0.1),
)
GLASS_BLUR = (Glass(0.05, 1), Glass(0.25, 1), Glass(0.4, 1), Glass(0.25, 2), Glass(0.4, 2))
MOTION_BLUR = (Motion(6, 1.0), Motion(6, 1.5), Motion(6, 2.0), Motion(8, 2.0), Motion(9, 2.5))
# Where the factors 1, 1.01, 1.02, ... end. The original's floating `arange` includes its end at
# severities 1 and 2 only: 7, 12, 16, 21, 26 factors.
ZOOM_BLUR = (1.06, 1.11, 1.16, 1.21, 1.26)
SNOW = (
    Snow(0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
    Snow(0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
    Snow(0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
    Snow(0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
    Snow(0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
)
FROST = (Frost(1.0, 0.2), Frost(1.0, 0.3), Frost(0.9, 0.4), Frost(0.85, 0.4), Frost(0.75, 0.45))
FOG = (Fog(0.2, 3.0), Fog(0.5, 3.0), Fog(0.75, 2.5), Fog(1.0, 2.0), Fog(1.5, 1.75))
SPATTER = (
    Spatter(0.62, 0.1, 0.7, 0.7, 0.5, False),
    Spatter(0.65, 0.1, 0.8, 0.7, 0.5, False),
    Spatter(0.65, 0.3, 1.0, 0.69, 0.5, False),
    Spatter(0.65, 0.1, 0.7, 0.69, 0.6, True),
    Spatter(0.65, 0.1, 0.5, 0.68, 0.6, True),
)
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # factor
BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)  # added to the value of HSV
SATURATE = (
    Saturate(0.3, 0.0),
    Saturate(0.1, 0.0),
    Saturate(1.5, 0.0),
    Saturate(2.0, 0.1),
    Saturate(2.5, 0.2),
)
JPEG_COMPRESSION = (80, 65, 58, 50, 40)  # quality
PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)  # share of the side that is kept
ELASTIC_TRANSFORM = (
    Elastic(0.0, 0.0, 0.08),
    Elastic(0.05, 0.2, 0.07),
    Elastic(0.08, 0.06, 0.06),
    Elastic(0.1, 0.04, 0.05),
    Elastic(0.1, 0.03, 0.03),
)
