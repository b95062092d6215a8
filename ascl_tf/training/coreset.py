"""Robustness-aware coreset selection (RCS): after a warm-up, training on a part of the images.

Xu et al. 2023, arXiv:2302.03857. Wanted is the part S of the images X, |S| = k |X|, after whose
step theta_S = theta - r grad L(S; theta) the representational divergence of other images is least,

    L_RD(U; theta) = mean_u max_d KL( p(u) || p(u + d) ),   p = softmax of the projections / t,

L being the method's whole objective. With X cut into batches, S is built greedily: of the batches
B that are left the one with the largest <grad L_RD(U; theta_S), grad L(B; theta)> is taken,
theta_S makes its step, and the divergence's gradient is taken anew. Only the gradients by the last
layer of the projection head count, as in the authors' code (coreset_gradients.py).

An epoch keeps its number of steps and passes over S again and again, so that schedule, validation
and checkpoints mean what they mean elsewhere. The authors' epochs become shorter: their E epochs
with a warm-up of W take W + k (E - W) of ours, and a new choice every i of theirs is one every
k i of ours.

Differs from the authors' code: r is the learning rate of that step (there 0.001); U is a random
part of the training images, at least 512 where there are as many, in inference mode (there in
training mode); gradients are not averaged over the layer's outputs.
"""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.errors import ConfigError
from ascl_tf.training.coreset_gradients import CoresetGradients

NUM_DIVERGENCE_IMAGES = 512
# Keep the two cuts of the images apart, and from all other random numbers of a run.
_BATCHES, _DIVERGENCE = 0x0C01, 0x0C02


class Coreset:
    """Which images each epoch of pre-training is made of.

    What was chosen is kept in the checkpoints' history: a run that goes on in the middle of
    the epochs for which it holds could not choose again, its weights having moved.

    Args:
        method: compiled `Method` with a projection head, on one device.
        dataset: `ImageDataset`, all training images.
        history: `History` of the checkpoints.
        clock: `TrainingClock`; the choice is a cost of the recipe.
    """

    def __init__(self, method, dataset, history, clock):
        self.method, self.dataset = method, dataset
        self.history, self._clock = history, clock
        self._gradients = None

    def next_change(self, epoch):
        """Returns the first epoch after `epoch` (both from 0) that has images of its own."""
        config = self.method.config
        begun = self._chosen_at(epoch)
        return config.coreset_warmup_epochs if begun is None else begun + config.coreset_every

    def rows(self, epoch):
        """Returns the places of the images of an epoch, int32 [M], or None for all.

        Chooses them where that is yet to be done, from the weights as they are.
        """
        begun = self._chosen_at(epoch)
        if begun is None:
            return None
        batches = self._cut(_BATCHES, begun)
        if self.history.coreset.get("epoch") != begun:
            chosen = self._choose(batches, begun)
            self.history.coreset = {"epoch": begun, "batches": chosen}
            print(f"coreset: {len(chosen)} of {len(batches)} batches", flush=True)
        return batches[self.history.coreset["batches"]].ravel()

    def _chosen_at(self, epoch):
        """Returns the epoch at whose beginning the images of `epoch` are chosen, or None."""
        config = self.method.config
        since = epoch - config.coreset_warmup_epochs
        return None if since < 0 else epoch - since % config.coreset_every

    def _cut(self, purpose, epoch):
        """Returns all images in random order, cut into whole batches: int32 [n, B]."""
        config, num_images = self.method.config, len(self.dataset)
        key = randomness.fold_in(tf.constant([config.seed, purpose], tf.int32), epoch)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_images, dtype=tf.int32), key, alg=randomness.ALGORITHM
        ).numpy()
        size = config.global_batch_size
        return order[: num_images // size * size].reshape(-1, size)

    def _choose(self, batches, epoch):
        config = self.method.config
        if self._gradients is None:
            # Traced here, outside of the clock as the first step is.
            self._gradients = CoresetGradients(self.method, self.dataset.image_shape)
        num_wanted = max(1, round(config.coreset_fraction * len(batches)))
        others = self._cut(_DIVERGENCE, epoch)
        others = others[: -(-NUM_DIVERGENCE_IMAGES // config.global_batch_size)]
        with self._clock.counting():
            gradients = [
                self._gradients.of_objective(self._batch(rows), number)
                for number, rows in enumerate(batches)
            ]
            with self._gradients.moving() as move:
                return choose_greedily(
                    np.stack(gradients),
                    num_wanted,
                    divergence_gradient=lambda: self._divergence_gradient(others),
                    take=lambda gradient: move(self._rate() * gradient),
                )

    def _divergence_gradient(self, others):
        gradients = [
            self._gradients.of_divergence(self._batch(rows), number)
            for number, rows in enumerate(others)
        ]
        return np.mean(gradients, axis=0)

    def _batch(self, rows):
        return self.dataset.images[rows], self.dataset.labels[rows]

    def _rate(self):
        return float(self.method.optimizer.learning_rate)


def choose_greedily(gradients, num_wanted, *, divergence_gradient, take):
    """Returns the numbers of the chosen batches, in the order in which they are taken.

    Args:
        gradients: [n, P], of the objective on each batch.
        num_wanted: how many of the n.
        divergence_gradient: callable () -> [P], where the layer stands.
        take: callable (gradient [P]); lets the layer make the step of a chosen batch.
    """
    left, chosen = list(range(len(gradients))), []
    while True:
        gains = gradients[left] @ divergence_gradient()
        chosen.append(left.pop(int(np.argmax(gains))))
        if len(chosen) == num_wanted:
            return chosen
        take(gradients[chosen[-1]])


def check_single_device(config, strategy):
    """Raises ConfigError where a part of the images is to be chosen on several devices."""
    if config.coreset_fraction < 1 and strategy.num_replicas_in_sync > 1:
        raise ConfigError(
            "--coreset_fraction: expected 1 on several devices (--num_replicas=1 takes one); "
            f"found {config.coreset_fraction:g} with {strategy.num_replicas_in_sync}"
        )
