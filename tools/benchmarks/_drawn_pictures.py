"""Small sets of drawn pictures, to measure how training does on folders of a user's own.

Four kinds, from easy to hard: dark shapes in the middle of a bright ground; colors; stripes of a
direction each; and shapes of any color and place, of which nearest neighbors know little.
"""

import colorsys
import math
import pathlib
import random

from PIL import Image, ImageDraw

NAMES = "circle square triangle cross ring diamond bars star dots corner".split()
SCALE = 4  # Shapes are drawn larger and made smaller: their edges are smooth.
TURN = 2 * math.pi


def draw_set(folder, kind, num_classes, num_pictures, ratio=1, seed=0, sizes=(16, 96)):
    """Writes pictures as `folder/<class>/<number>.png`, or .jpg for every third.

    Args:
        folder: is created.
        kind: one of `KINDS`.
        num_classes: at most 10.
        num_pictures: of all classes together; about, since a class has at least 5.
        ratio: of the largest class to the smallest; those between lie on a geometric scale.
        seed: the same pictures for the same seed.
        sizes: smallest and largest side, in pixels.
    """
    rng = random.Random(seed)
    weights = [ratio ** (-place / max(1, num_classes - 1)) for place in range(num_classes)]
    for place, weight in enumerate(weights):
        target = pathlib.Path(folder) / NAMES[place]
        target.mkdir(parents=True)
        for number in range(max(5, round(num_pictures * weight / sum(weights)))):
            picture = KINDS[kind](rng.randint(*sizes), place, num_classes, rng)
            picture.save(target / f"{number:04d}.{'jpg' if number % 3 == 0 else 'png'}")


def _plain_shape(size, place, _, rng):
    ground = tuple(rng.randint(180, 255) for _ in range(3))
    color = tuple(rng.randint(0, 110) for _ in range(3))
    radius = rng.uniform(0.25, 0.4)
    center = [0.5 + rng.uniform(-0.1, 0.1) for _ in range(2)]
    return _shape(size, NAMES[place], ground, color, radius, center)


def _free_shape(size, place, _, rng):
    ground, color = (tuple(rng.randint(0, 255) for _ in range(3)) for _ in range(2))
    while sum(abs(one - other) for one, other in zip(ground, color, strict=True)) < 120:
        color = tuple(rng.randint(0, 255) for _ in range(3))
    radius = rng.uniform(0.22, 0.42)
    center = [rng.uniform(radius, 1 - radius) for _ in range(2)]
    return _shape(size, NAMES[place], ground, color, radius, center)


def _shape(size, name, ground, color, radius, center):
    big = size * SCALE
    picture = Image.new("RGB", (big, big), ground)
    pen = ImageDraw.Draw(picture)
    x, y, r = big * center[0], big * center[1], big * radius

    def box(left, top, right, bottom):
        return (x + r * left, y + r * top, x + r * right, y + r * bottom)

    if name == "circle":
        pen.ellipse(box(-1, -1, 1, 1), fill=color)
    elif name == "ring":
        pen.ellipse(box(-1, -1, 1, 1), outline=color, width=max(2, int(0.35 * r)))
    elif name == "dots":
        for left in (-0.95, 0.25):
            for top in (-0.95, 0.25):
                pen.ellipse(box(left, top, left + 0.7, top + 0.7), fill=color)
    elif name in _CORNERS:
        radii, num, turn = _CORNERS[name]
        angles = [turn + TURN * number / num for number in range(num)]
        rounds = [r * radii[number % len(radii)] for number in range(num)]
        pen.polygon(
            [
                (x + q * math.cos(a), y + q * math.sin(a))
                for q, a in zip(rounds, angles, strict=True)
            ],
            fill=color,
        )
    else:
        for bar in _BARS[name]:
            pen.rectangle(box(*bar), fill=color)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


# Radii of the corners in turn, their number, the angle of the first.
_CORNERS = {
    "triangle": ((1,), 3, -TURN / 4),
    "diamond": ((1,), 4, 0),
    "star": ((1, 0.4), 10, -TURN / 4),
}
_BARS = {
    "square": [(-0.85, -0.85, 0.85, 0.85)],
    "cross": [(-1, -0.2, 1, 0.2), (-0.2, -1, 0.2, 1)],
    "bars": [(-1, top, 1, top + 0.4) for top in (-1, -0.25, 0.5)],
    "corner": [(-1, -1, -0.6, 1), (-1, 0.6, 1, 1)],
}


def _color(size, place, num_classes, rng):
    hue = (place + rng.uniform(-0.3, 0.3)) / num_classes % 1
    saturation, value = rng.uniform(0.5, 1), rng.uniform(0.5, 1)

    def pixel():
        shares = (saturation * rng.uniform(0.7, 1), value * rng.uniform(0.7, 1))
        return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, *shares))

    return _from_pixels(size, [pixel() for _ in range(size * size)])


def _stripes(size, place, num_classes, rng):
    angle = math.pi * (place + rng.uniform(-0.2, 0.2)) / num_classes
    frequency = rng.uniform(0.5, 1.2) * 32 / size
    phase = rng.uniform(0, TURN)
    one, other = ([rng.randint(0, 255) for _ in range(3)] for _ in range(2))

    def pixel(row, column):
        along = column * math.cos(angle) + row * math.sin(angle)
        share = (1 + math.sin(frequency * along + phase)) / 2
        return tuple(int(p * share + q * (1 - share)) for p, q in zip(one, other, strict=True))

    return _from_pixels(size, [pixel(*divmod(number, size)) for number in range(size * size)])


def _from_pixels(size, pixels):
    picture = Image.new("RGB", (size, size))
    picture.putdata(pixels)
    return picture


KINDS = {"plain": _plain_shape, "colors": _color, "stripes": _stripes, "free": _free_shape}
