"""A plain PyTorch CIFAR ResNet-18 with random weights, for comparison."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != filters:
            conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.shortcut(x)).relu()


class ResNet18(nn.Module):
    def __init__(self, width, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage in range(4):
            filters = width * 2**stage
            blocks = [Block(channels, filters, 1 if stage == 0 else 2), Block(filters, filters, 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = filters
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(x.mean(dim=(2, 3)))


def random_resnet18(width, num_classes, seed=0):
    """Returns the network in inference mode, its batch-norm statistics random too."""
    torch.manual_seed(seed)
    network = ResNet18(width, num_classes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()
