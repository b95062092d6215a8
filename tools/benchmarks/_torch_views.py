"""Weak and strong views in PyTorch, NCHW and batched, for the step that ours is compared with.

The same transforms as ascl_tf/data/views.py. In the opponent's favor they work on whole
batches, where public code transforms single images; and the four changes of color come
in one order per batch, so that each is computed once.
"""

import math

import torch
from torch.nn import functional

GRAY = (0.2989, 0.587, 0.114)


def weak_view(images):
    """Returns zero-padded, randomly cropped and flipped images."""
    pad = images.shape[2] // 8
    padded = functional.pad(images, [pad] * 4)
    rows = _window(images.shape[0], images.shape[2], pad)
    columns = _window(images.shape[0], images.shape[3], pad)
    picked = torch.arange(images.shape[0])[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]]
    return _flip(cropped.permute(0, 3, 1, 2))


def strong_view(images):
    """Returns randomly cropped and resized, flipped, jittered images, some of them gray."""
    views = _flip(_random_resized_crop(images))
    jittered = _jitter(views)
    views = torch.where(_chance(images, 0.8), jittered, views)
    return torch.where(_chance(images, 0.2), _gray(views).expand_as(views), views).clamp(0, 1)


def _window(count, size, pad):
    return torch.randint(0, 2 * pad + 1, (count, 1)) + torch.arange(size)


def _chance(images, probability):
    return torch.rand(images.shape[0], 1, 1, 1) < probability


def _flip(images):
    return torch.where(_chance(images, 0.5), images.flip(3), images)


def _random_resized_crop(images, min_area=0.2, max_ratio=4 / 3):
    count = images.shape[0]
    area = torch.empty(count).uniform_(min_area, 1.0)
    log_ratio = torch.empty(count).uniform_(-math.log(max_ratio), math.log(max_ratio))
    height = (area / log_ratio.exp()).sqrt().clamp(max=1.0)
    width = (area * log_ratio.exp()).sqrt().clamp(max=1.0)
    # Of the square [-1, 1]: where the box has its middle.
    middle_x = (2 * torch.rand(count) - 1) * (1 - width)
    middle_y = (2 * torch.rand(count) - 1) * (1 - height)
    none = torch.zeros(count)
    rows = [width, none, middle_x, none, height, middle_y]
    boxes = torch.stack(rows, dim=1).reshape(count, 2, 3).to(images.dtype)
    grid = functional.affine_grid(boxes, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _jitter(images, strength=0.4, hue=0.1):
    changes = (_brightness, _contrast, _saturation)
    for index in torch.randperm(4).tolist():
        if index == 3:
            images = _turn_hue(images, _factor(images, -hue, hue))
        else:
            images = changes[index](images, _factor(images, 1 - strength, 1 + strength))
    return images


def _factor(images, low, high):
    return torch.empty(images.shape[0], 1, 1, 1, dtype=images.dtype).uniform_(low, high)


def _gray(images):
    red, green, blue = images.split(1, dim=1)
    return GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue


def _brightness(images, factor):
    return (images * factor).clamp(0, 1)


def _contrast(images, factor):
    mean = _gray(images).mean(dim=(1, 2, 3), keepdim=True)
    return (factor * images + (1 - factor) * mean).clamp(0, 1)


def _saturation(images, factor):
    return (factor * images + (1 - factor) * _gray(images)).clamp(0, 1)


def _turn_hue(images, turns):
    red, green, blue = images.split(1, dim=1)
    value, low = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    chroma = value - low
    safe = chroma.clamp(min=1e-12)
    of_blue, of_green = (red - green) / safe + 4, (blue - red) / safe + 2
    sixths = torch.where(value == green, of_green, of_blue)
    sixths = torch.where(value == red, (green - blue) / safe, sixths) + 6 * turns
    places = [torch.remainder(sixths + number, 6) for number in (5, 3, 1)]
    shares = [torch.minimum(place, 4 - place).clamp(0, 1) for place in places]
    return value - chroma * torch.cat(shares, dim=1)
