"""The gradients that a coreset is chosen by: of objective and divergence, by one layer.

The layer is the last one of the projection head. Each function is compiled once for a run.
Attacks take `coreset_num_steps` steps at most. Variables are read and none is written: what the
objective's batch norms would assign is dropped. Clean images go through the clean branch where
the method trains it, perturbed ones through the adversarial one. The classification term of ascl
does not reach the projection head, and has no say.
"""

import contextlib

import keras
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.losses.classification import kl_divergence
from ascl_tf.methods.step_data import Batch, StepSeeds
from ascl_tf.models import ADVERSARIAL, CLEAN

_DIVERGENCE_START = 0x0C03


class CoresetGradients:
    """Gradients by the last layer of a method's projection head.

    Args:
        method: compiled `Method`.
        image_shape: (H, W, 3).
    """

    def __init__(self, method, image_shape):
        self.method = method
        self._layer = method.projection_head.output_dense.kernel
        size = method.config.global_batch_size
        signature = [
            tf.TensorSpec([size, *image_shape], tf.uint8),
            tf.TensorSpec([size], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        compiled = tf.function(input_signature=signature, autograph=False)
        self._objective, self._divergence = compiled(self._objective), compiled(self._divergence)
        with self._fewer_steps():
            for function in (self._objective, self._divergence):
                function.get_concrete_function()

    def of_objective(self, batch, number):
        """Returns the gradient of the objective, float32 [P].

        Args:
            batch: images uint8 [B, H, W, 3] and labels int32 [B].
            number: which batch it is; no two have a random number in common.
        """
        return self._objective(*batch, number).numpy()

    def of_divergence(self, batch, number):
        """Returns the gradient of the representational divergence; arguments as above."""
        return self._divergence(*batch, number).numpy()

    @contextlib.contextmanager
    def moving(self):
        """Yields a function that moves the layer against its argument [P]; it is put back."""
        before = self._layer.numpy()

        def move(step):
            self._layer.assign_sub(step.reshape(before.shape))

        try:
            yield move
        finally:
            self._layer.assign(before)

    def _objective(self, images, labels, number):
        method = self.method
        batch = Batch(self._pixels(images), labels, self._seeds(number))
        with keras.StatelessScope():  # What is assigned inside is dropped.
            views = method.make_views(batch)
            adversarial = method.make_adversarial(views)
            _, _, (gradient,) = method.differentiate(views, adversarial, [self._layer.value])
        return tf.reshape(gradient, [-1])

    def _divergence(self, images, labels, number):
        images, layer = self._pixels(images), self._layer.value
        natural = tf.stop_gradient(self._clean(images))
        perturbed = self._perturb(images, natural, number)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(layer)
            loss = tf.reduce_mean(kl_divergence(self._clean(images), self._adversarial(perturbed)))
        return tf.reshape(tape.gradient(loss, layer), [-1])

    def _perturb(self, images, natural, number):
        config = self.method.config
        num_steps = config.coreset_num_steps
        key = randomness.fold_in(
            tf.constant([config.seed, _DIVERGENCE_START], tf.int32), self._step()
        )
        return self.method.perturb(
            lambda x: kl_divergence(natural, self._adversarial(x)),
            images,
            num_steps=num_steps,
            seed=randomness.position_seeds(key, self._positions(number)),
            # As in the authors' code: 10/255 in all for a radius of 8/255.
            step_size=1.25 * float(config.epsilon) / max(num_steps, 1),
        )

    def _clean(self, images):
        branch = CLEAN if CLEAN in self.method.trained_branches else ADVERSARIAL
        return self._logits(images, branch)

    def _adversarial(self, images):
        return self._logits(images, ADVERSARIAL)

    def _logits(self, images, branch):
        projections = self.method.projections(images, branch=branch, training=False)
        return projections / self.method.config.temperature

    def _pixels(self, images):
        return tf.cast(images, self.method.pixel_dtype) / 255

    def _seeds(self, number):
        return StepSeeds(self.method.config.seed, self._step(), self._positions(number))

    def _positions(self, number):
        size = self.method.config.global_batch_size
        return number * size + tf.range(size)

    def _step(self):
        return tf.cast(self.method.optimizer.iterations, tf.int32)

    @contextlib.contextmanager
    def _fewer_steps(self):
        """Lets what is traced inside attack with `coreset_num_steps` steps at most."""
        config = self.method.config
        names = ("num_steps_at", "num_steps_cl", "num_steps_ascl")
        fewer = {name: min(getattr(config, name), config.coreset_num_steps) for name in names}
        self.method.config = config.replace(**fewer)
        try:
            yield
        finally:
            self.method.config = config
