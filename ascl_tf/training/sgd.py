"""SGD with momentum whose velocity does not hold the learning rate, as in PyTorch."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ascl_tf")
class Sgd(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum, in the convention of `torch.optim.SGD`.

        v <- momentum * v + g
        w <- w - rate * v                        (Nesterov: w - rate * (g + momentum * v))

    g is summed over replicas before, and holds whatever weight decay is coupled; v starts at 0.
    A change of the rate therefore shows at once. With the rate inside the velocity, as Keras
    and the first paper on LARS have it,

        v <- momentum * v - rate * g
        w <- w + v                               (Nesterov: w + momentum * v - rate * g)

    it shows over some 1 / (1 - momentum) steps. Where the rate is constant both are the same.
    The variables of v are called "velocity" in the first convention, "momentum" in the second.

    Args:
        learning_rate: number or schedule.
        rate_inside: bool, whether the velocity holds the learning rate.
        settings: `momentum` in [0, 1], `nesterov`, and what else Keras' optimizer takes.
    """

    def __init__(self, learning_rate=0.1, *, rate_inside=False, **settings):
        super().__init__(learning_rate, **settings)
        self.rate_inside = rate_inside

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        if name == "momentum" and not self.rate_inside:
            name = "velocity"
        return super().add_optimizer_variables(trainable_variables, name, initializer)

    def update_step(self, gradient, variable, learning_rate):
        if self.rate_inside or self.momentum == 0:
            super().update_step(gradient, variable, learning_rate)
            return
        gradient = tf.cast(gradient, variable.dtype)
        slot = self.momentums[self._get_variable_index(variable)]
        velocity = self.momentum * tf.convert_to_tensor(slot) + gradient
        self.assign(slot, velocity)
        step = gradient + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, tf.cast(learning_rate, variable.dtype) * step)

    def get_config(self):
        return {**super().get_config(), "rate_inside": self.rate_inside}
