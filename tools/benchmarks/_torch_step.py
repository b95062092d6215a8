"""One step of ASCL's default objective in plain PyTorch, what `ascl_tf`'s step is compared with.

`Habits` says what it wastes. With both flaws removed it does what ours does, but for the
accuracy on natural images and the norms that our step reports.
"""

import dataclasses

import torch
from torch.nn import functional

from ascl_tf.models import ADVERSARIAL, CLEAN
from tools.benchmarks import _torch_views


@dataclasses.dataclass(frozen=True)
class Habits:
    """How the attacks are written.

    caches_anchors: the clean anchors are projected once; else in each step of their attack.
    detaches_anchors: recomputed anchors are made without a graph; else `backward` goes there too.
    inputs_only: the gradient is asked of the images alone; else `loss.backward()` fills that
        of every parameter too.
    channels_last: the memory layout of images and kernels.
    """

    caches_anchors: bool
    inputs_only: bool
    detaches_anchors: bool = False
    channels_last: bool = False


class TorchStep:
    """A training step: views, three attacks, loss, update.

    Args:
        network: `_torch_network.Network`; trained in place.
        config: `ascl_tf.config.Config` of the default objective.
        habits: `Habits`.
        random_start: whether attacks start at a uniform point of the ball.
    """

    def __init__(self, network, config, habits, *, random_start=True):
        self.habits, self.config, self.random_start = habits, config, random_start
        self.memory_format = torch.contiguous_format
        if habits.channels_last:
            self.memory_format = torch.channels_last
        self.network = network.to(memory_format=self.memory_format)
        self.optimizer = torch.optim.SGD(
            network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )

    def __call__(self, images, labels):
        """Makes one step on uint8 [B, H, W, 3] and int64 [B]; returns the loss."""
        images = images.permute(0, 3, 1, 2).to(torch.get_default_dtype()) / 255
        weak = _torch_views.weak_view(images)
        views = torch.cat([_torch_views.strong_view(images) for _ in range(2)])
        weak, views = (x.contiguous(memory_format=self.memory_format) for x in (weak, views))
        adversarial = self.make_adversarial(weak, views, labels)
        terms = self.backward(views, labels, *adversarial)
        self.optimizer.step()
        return float(terms["loss"])

    def make_adversarial(self, weak, views, labels):
        """Returns x + d_at, v + d_cl and x + d_ascl."""
        self.network.eval()
        config = self.config
        at = self._attack(lambda x: self._at_loss(x, labels), weak, config.num_steps_at)
        cl = self._attack(self._cl_loss, views, config.num_steps_cl)
        anchors = self._anchors(views)
        ascl = self._attack(
            lambda x: self._ascl_loss(x, anchors(), labels), weak, config.num_steps_ascl
        )
        return at, cl, ascl

    def backward(self, views, labels, images_at, views_cl, images_ascl):
        """Fills the gradients of all parameters; returns the loss and its terms."""
        self.network.train()
        self.optimizer.zero_grad()
        clean = self._project(views, CLEAN)
        count = len(labels)
        features = self.network(torch.cat([images_at, views_cl, images_ascl]), ADVERSARIAL)
        projections = self.network.project(features[count:], ADVERSARIAL)
        at = functional.cross_entropy(self.network.linear(features[:count]), labels)
        cl = nt_xent(projections[: 2 * count], self.config.temperature)
        ascl = ascl_loss(clean, projections[2 * count :], labels, self.config.temperature)
        loss = at + self.config.lambda_1 * cl + self.config.lambda_2 * ascl
        loss.backward()
        terms = {"loss": loss, "at_loss": at, "cl_loss": cl, "ascl_loss": ascl}
        return {name: term.detach() for name, term in terms.items()}

    def _attack(self, loss_of, images, num_steps):
        epsilon, step_size = float(self.config.epsilon), float(self.config.step_size)
        x = images
        if self.random_start:
            x = x + torch.empty_like(x).uniform_(-epsilon, epsilon)
        x = x.clamp(0, 1)
        for _ in range(num_steps):
            x = x.detach().requires_grad_()
            moved = x.detach() + step_size * self._gradient(loss_of(x), x).sign()
            x = torch.clamp(moved, images - epsilon, images + epsilon).clamp(0, 1)
        return x.detach()

    def _gradient(self, loss, x):
        if self.habits.inputs_only:
            return torch.autograd.grad(loss, x)[0]
        loss.backward()
        return x.grad

    def _anchors(self, views):
        """Returns a function that gives the clean anchors to a step of the attack."""
        if self.habits.caches_anchors:
            with torch.no_grad():
                anchors = self._project(views, CLEAN)
            return lambda: anchors
        with_graph = not self.habits.detaches_anchors

        def recomputed():
            with torch.set_grad_enabled(with_graph):
                return self._project(views, CLEAN)

        return recomputed

    def _at_loss(self, images, labels):
        logits = self.network.linear(self.network(images, ADVERSARIAL))
        return functional.cross_entropy(logits, labels)

    def _cl_loss(self, views):
        return nt_xent(self._project(views, ADVERSARIAL), self.config.temperature)

    def _ascl_loss(self, images, anchors, labels):
        projections = self._project(images, ADVERSARIAL)
        return ascl_loss(anchors, projections, labels, self.config.temperature)

    def _project(self, images, branch):
        return self.network.project(self.network(images, branch), branch)


def nt_xent(projections, temperature):
    """Returns the mean of eq. 4 over view-major [2B, D]."""
    count = projections.shape[0]
    logits = projections @ projections.T / temperature
    logits = logits.masked_fill(torch.eye(count, dtype=torch.bool), float("-inf"))
    return functional.cross_entropy(logits, torch.arange(count).roll(count // 2))


def ascl_loss(anchors, adversarial, labels, temperature):
    """Returns the mean of eq. 9 (joint denominator) over view-major anchors [2B, D]."""
    count = anchors.shape[0]
    others = torch.cat([anchors, adversarial])
    logits = anchors @ others.T / temperature
    is_self = torch.eye(count, len(others), dtype=torch.bool)
    log_ratios = functional.log_softmax(logits.masked_fill(is_self, float("-inf")), dim=1)
    is_positive = (labels.repeat(2)[:, None] == labels[None, :]).to(logits.dtype)
    total = (is_positive * log_ratios[:, count:]).sum(dim=1)
    return -(total / is_positive.sum(dim=1)).mean()
