"""A CIFAR ResNet-18 with named batch-norm branches and its heads in PyTorch, weights from ours.

Plain modules as public code has them: train() and eval() switch the batch norm, a name given
with each call chooses its branch.
"""

import numpy as np
import torch
from torch import nn

from ascl_tf.models import ADVERSARIAL, BRANCHES

CONV_AXES, DENSE_AXES, VECTOR_AXES = (3, 2, 0, 1), (1, 0), (0,)


class BranchNorm(nn.Module):
    """One batch norm of class `make_norm` for each branch."""

    def __init__(self, make_norm, channels):
        super().__init__()
        self.branches = nn.ModuleDict({branch: make_norm(channels) for branch in BRANCHES})

    def forward(self, x, branch):
        return self.branches[branch](x)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = BranchNorm(nn.BatchNorm2d, filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = BranchNorm(nn.BatchNorm2d, filters)
        self.shortcut_conv = None
        if stride != 1 or channels != filters:
            self.shortcut_conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.shortcut_bn = BranchNorm(nn.BatchNorm2d, filters)

    def forward(self, x, branch):
        y = self.bn1(self.conv1(x), branch).relu()
        y = self.bn2(self.conv2(y), branch)
        if self.shortcut_conv is not None:
            x = self.shortcut_bn(self.shortcut_conv(x), branch)
        return (y + x).relu()


class Network(nn.Module):
    """Encoder, linear head and projection head of one hidden layer."""

    def __init__(self, width, hidden_dim, projection_dim, num_classes):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.stem_bn = BranchNorm(nn.BatchNorm2d, width)
        blocks, channels = [], width
        for stage in range(4):
            for stride in ((1 if stage == 0 else 2), 1):
                blocks.append(Block(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.blocks = nn.ModuleList(blocks)
        self.linear = nn.Linear(channels, num_classes)
        self.hidden = nn.Linear(channels, hidden_dim, bias=False)
        self.hidden_bn = BranchNorm(nn.BatchNorm1d, hidden_dim)
        self.output = nn.Linear(hidden_dim, projection_dim)

    def forward(self, images, branch=ADVERSARIAL):
        """Returns features [B, 8 * width]."""
        x = self.stem_bn(self.stem_conv(images), branch).relu()
        for block in self.blocks:
            x = block(x, branch)
        return x.mean(dim=(2, 3))

    def project(self, features, branch):
        """Returns projections of unit norm."""
        hidden = self.hidden_bn(self.hidden(features), branch).relu()
        return nn.functional.normalize(self.output(hidden), dim=1)


class Classifier(nn.Module):
    """A network's logits of the adversarial branch, as packages of attacks expect a model."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network.linear(self.network(images, ADVERSARIAL))


def network_from(method):
    """Returns the `Network` with the weights and statistics of an ASCL method of default form."""
    encoder, head = method.encoder, method.projection_head
    num_classes = method.linear_head.num_classes
    network = Network(encoder.width, head.hidden_dim, head.projection_dim, num_classes)
    if encoder.dtype == "float64":
        network = network.double()
    with torch.no_grad():
        for variable, tensor, axes in pairs(method, network):
            tensor.copy_(torch.from_numpy(in_torch_layout(variable.numpy(), axes)))
    return network


def in_torch_layout(values, axes):
    """Returns an array of ours with its axes in PyTorch's order."""
    return np.ascontiguousarray(values.transpose(axes))


def pairs(method, network):
    """Yields (variable of ours, tensor of theirs, our axes in their order), each weight once."""
    encoder, head = method.encoder, method.projection_head
    yield from _conv(encoder.stem_conv, network.stem_conv)
    yield from _norm(encoder.stem_bn, network.stem_bn)
    for ours, theirs in zip(encoder.blocks, network.blocks, strict=True):
        yield from _block(ours, theirs)
    yield from _dense(method.linear_head.dense, network.linear)
    yield from _dense(head.hidden[0], network.hidden)
    yield from _norm(head.hidden_bn[0], network.hidden_bn)
    yield from _dense(head.output_dense, network.output)


def _block(ours, theirs):
    yield from _conv(ours.conv1, theirs.conv1)
    yield from _norm(ours.bn1, theirs.bn1)
    yield from _conv(ours.conv2, theirs.conv2)
    yield from _norm(ours.bn2, theirs.bn2)
    if ours.shortcut_conv is not None:
        yield from _conv(ours.shortcut_conv, theirs.shortcut_conv)
        yield from _norm(ours.shortcut_bn, theirs.shortcut_bn)


def _conv(ours, theirs):
    yield ours.kernel, theirs.weight, CONV_AXES


def _dense(ours, theirs):
    yield ours.kernel, theirs.weight, DENSE_AXES
    if ours.bias is not None:
        yield ours.bias, theirs.bias, VECTOR_AXES


def _norm(ours, theirs):
    for branch, part in ours.branches.items():
        norm = theirs.branches[branch]
        yield part.gamma, norm.weight, VECTOR_AXES
        yield part.beta, norm.bias, VECTOR_AXES
        yield part.moving_mean, norm.running_mean, VECTOR_AXES
        yield part.moving_variance, norm.running_var, VECTOR_AXES
