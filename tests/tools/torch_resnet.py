"""Plain PyTorch networks for CIFAR with random weights, for comparison.

Their modules have the names of published networks: see `ascl_tf.models.torch_weights`.
"""

import torch
from torch import nn


def _conv(channels, filters, size, stride=1):
    return nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)


class Block(nn.Module):
    expansion = 1

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = _conv(filters, filters, 3), nn.BatchNorm2d(filters)
        self.shortcut = _shortcut(channels, filters, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, filters, 1), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = _conv(filters, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = _conv(filters, 4 * filters, 1), nn.BatchNorm2d(4 * filters)
        self.shortcut = _shortcut(channels, 4 * filters, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (self.bn3(self.conv3(y)) + self.shortcut(x)).relu()


def _shortcut(channels, filters, stride):
    if stride == 1 and channels == filters:
        return nn.Sequential()
    return nn.Sequential(_conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))


class PreActBlock(nn.Module):
    expansion = 1

    def __init__(self, channels, filters, stride, sees_activation):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv(channels, filters, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(filters), _conv(filters, filters, 3)
        self.sees_activation = sees_activation
        if stride != 1 or channels != filters:
            self.shortcut = nn.Sequential(_conv(channels, filters, 1, stride))

    def forward(self, x):
        y = self.bn1(x).relu()
        seen = y if self.sees_activation else x
        kept = self.shortcut(seen) if hasattr(self, "shortcut") else x
        return kept + self.conv2(self.bn2(self.conv1(y)).relu())


class ResNet(nn.Module):
    """With `Block` or `Bottleneck`; `stem` is "cifar" or "imagenet"."""

    def __init__(self, width, num_classes, block=Block, counts=(2, 2, 2, 2), stem="cifar"):
        super().__init__()
        self.conv1 = _conv(3, width, 3) if stem == "cifar" else _conv(3, width, 7, 2)
        self.pool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, 2, 1)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(counts):
            strides, blocks = [1 if stage == 0 else 2] + [1] * (count - 1), []
            for stride in strides:
                blocks.append(block(channels, width * 2**stage, stride))
                channels = width * 2**stage * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(x.mean(dim=(2, 3)))


class PreActResNet(nn.Module):
    def __init__(self, width, num_classes, sees_activation, has_last):
        super().__init__()
        self.conv1, channels = _conv(3, width, 3), width
        for stage in range(4):
            filters, blocks = width * 2**stage, []
            for stride in (1 if stage == 0 else 2, 1):
                blocks.append(PreActBlock(channels, filters, stride, sees_activation))
                channels = filters
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        if has_last:
            self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.conv1(x)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        x = self.bn(x).relu() if hasattr(self, "bn") else x
        return self.linear(x.mean(dim=(2, 3)))


class WideBlock(nn.Module):
    """Where the shape changes, block and shortcut both see what is behind the first ReLU."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), _conv(channels, filters, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(filters), _conv(filters, filters, 3)
        self.convShortcut = None if channels == filters else _conv(channels, filters, 1, stride)

    def forward(self, x):
        y = self.bn1(x).relu()
        kept = x if self.convShortcut is None else self.convShortcut(y)
        return kept + self.conv2(self.bn2(self.conv1(y)).relu())


class Stage(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """Two blocks a stage; with the copy of the first stage that nothing uses."""

    def __init__(self, width, factor, num_classes):
        super().__init__()
        self.conv1, channels = _conv(3, width, 3), width
        for stage in range(3):
            filters, stride = factor * width * 2**stage, 1 if stage == 0 else 2
            blocks = [WideBlock(channels, filters, stride), WideBlock(filters, filters, 1)]
            setattr(self, f"block{stage + 1}", Stage(*blocks))
            if stage == 0:
                self.sub_block1 = Stage(WideBlock(channels, filters, stride))
            channels = filters
        self.bn1, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.bn1(x).relu().mean(dim=(2, 3)))


def randomized(network):
    """Returns the network in inference mode, its batch-norm statistics random too."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


def random_resnet18(width, num_classes, seed=0):
    """Returns the ResNet-18 that other tests compare with."""
    torch.manual_seed(seed)
    return randomized(ResNet(width, num_classes))
