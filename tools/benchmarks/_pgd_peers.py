"""20 steps of PGD by other packages, on the same network and images, each at its best.

TensorFlow's peers get a compiled network (cleverhans: one graph for the whole attack), and
PyTorch's its two memory layouts. All start at a uniform point of the ball, raise the
cross-entropy of the true labels, and stay in the ball and in [0, 1].
"""

import contextlib
import importlib.metadata
import logging
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.losses import cross_entropy_loss

# Import name -> name on PyPI.
PACKAGES = {
    "cleverhans": "cleverhans",
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
    "torchattacks": "torchattacks",
}


class Task(NamedTuple):
    """What all peers do.

    logits_fn: float32 images -> logits [B, num_classes], TensorFlow.
    torch_network: function () -> `torch.nn.Module` of the same network, in inference mode.
    images: float32 [B, H, W, 3] tensor.
    labels: int [B] tensor.
    """

    logits_fn: Any
    torch_network: Any
    images: tf.Tensor
    labels: tf.Tensor
    num_classes: int
    epsilon: float
    step_size: float
    num_steps: int


def make_peers(task):
    """Returns attack functions by name, and package -> why it is missing."""
    makers = {
        "cleverhans": _cleverhans,
        "foolbox": _foolbox,
        "art": _art,
        "torchattacks": _torchattacks,
    }
    peers, missing = {}, {}
    for package, make in makers.items():
        try:
            peers |= make(task)
        except ImportError as error:
            missing[PACKAGES[package]] = str(error)
    return peers, missing


def versions():
    """Returns the versions of the packages that are installed, and PyTorch's."""
    found = {}
    for name in (*PACKAGES.values(), "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _cleverhans(task):
    from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

    @tf.function(autograph=False)
    def attack(images, labels):
        return projected_gradient_descent(
            task.logits_fn,
            images,
            task.epsilon,
            task.step_size,
            task.num_steps,
            np.inf,
            clip_min=0.0,
            clip_max=1.0,
            y=labels,
            rand_init=True,
            # With a box, its checks put a bool beside tensors of images' shape, and raise.
            sanity_checks=False,
        )

    return {"cleverhans": lambda: attack(task.images, task.labels)}


def _foolbox(task):
    import foolbox

    model = foolbox.TensorFlowModel(_compiled(task), bounds=(0, 1), device="/CPU:0")
    attack = foolbox.attacks.LinfPGD(
        abs_stepsize=task.step_size, steps=task.num_steps, random_start=True
    )
    labels = tf.cast(task.labels, tf.int64)
    # Not the attack's call, which makes another pass to see what has succeeded.
    return {"foolbox": lambda: attack.run(model, task.images, labels, epsilon=task.epsilon)}


def _art(task):
    logging.getLogger("art").setLevel(logging.ERROR)
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import TensorFlowV2Classifier

    logits = _compiled(task)
    estimator = TensorFlowV2Classifier(
        model=lambda images, training=False: logits(images),
        nb_classes=task.num_classes,
        input_shape=tuple(task.images.shape[1:]),
        loss_object=_one_hot_cross_entropy,
        clip_values=(0.0, 1.0),
    )
    attack = ProjectedGradientDescent(
        estimator,
        norm=np.inf,
        eps=task.epsilon,
        eps_step=task.step_size,
        max_iter=task.num_steps,
        num_random_init=1,
        batch_size=len(task.labels),
        verbose=False,
    )
    images, labels = task.images.numpy(), task.labels.numpy()
    return {"art": lambda: attack.generate(images, labels)}


def _torchattacks(task):
    import torch
    import torchattacks

    images = torch.from_numpy(np.ascontiguousarray(task.images.numpy().transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(task.labels.numpy()).long()
    layouts = {"channels last": torch.channels_last, "default layout": torch.contiguous_format}
    peers = {}
    for name, layout in layouts.items():
        network = task.torch_network().to(memory_format=layout)
        attack = torchattacks.PGD(network, task.epsilon, task.step_size, task.num_steps)
        inputs = images.contiguous(memory_format=layout)
        peers[f"torchattacks ({name})"] = _in_our_layout(attack, inputs, labels)
    return peers


def _in_our_layout(attack, images, labels):
    return lambda: attack(images, labels).permute(0, 2, 3, 1).numpy()


def _compiled(task):
    return tf.function(task.logits_fn, autograph=False)


def _one_hot_cross_entropy(labels, logits):
    """ART hands indices over as one-hot vectors."""
    return tf.reduce_mean(cross_entropy_loss(logits, tf.argmax(labels, axis=-1)))
