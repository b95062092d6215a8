"""SGD as PyTorch has it, with the rate outside of its velocity, and LARS, with rates by layer."""

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


@keras.saving.register_keras_serializable("ascl_tf")
class Lars(Sgd):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv:1708.03888, alg. 1).

        t = trust * ||w|| / (||g|| + decay * ||w||)
        v <- momentum * v + rate * t * (g + decay * w)
        w <- w - v                                         (Nesterov: w - momentum * v - last term)

    The rate stands inside the velocity, as in the paper and in SimCLR's, ACL's and DynACL's
    code. With `rate_inside=False` it stands outside, as where torchlars wraps `torch.optim.SGD`
    (RoCL):

        v <- momentum * v + t * (g + decay * w)
        w <- w - rate * v                                  (Nesterov: see `Sgd`)

    g is summed over replicas before. t is 1 where ||w|| or ||g|| is 0: a fresh offset would
    never move. Variables of rank 1 or less (offsets, biases) take part as in plain SGD, t = 1
    and no decay, unless `adapts_vectors`: torchlars (RoCL's) and ACL's optimizer adapt them
    too, SimCLR's leaves them out. SimCLR's t is another: docs/differences.md.

    Args:
        learning_rate: number or schedule.
        momentum: number in [0, 1].
        nesterov: bool.
        rate_inside: bool, whether the velocity holds the learning rate.
        trust: trust coefficient, > 0.
        decay: coupled weight decay, >= 0.
        adapts_vectors: bool.
    """

    # A method adds no decay of its own to the gradient: its size enters t.
    decays_weights = True

    def __init__(
        self,
        learning_rate=0.1,
        *,
        rate_inside=True,
        trust=0.001,
        decay=0.0,
        adapts_vectors=False,
        **settings,
    ):
        super().__init__(learning_rate, rate_inside=rate_inside, **settings)
        self.trust, self.decay, self.adapts_vectors = trust, decay, adapts_vectors

    def update_step(self, gradient, variable, learning_rate):
        gradient = tf.cast(gradient, variable.dtype)
        if self.adapts_vectors or variable.shape.rank > 1:
            gradient = self._scaled(gradient, tf.convert_to_tensor(variable))
        super().update_step(gradient, variable, learning_rate)

    def _scaled(self, gradient, weights):
        """Returns t * (g + decay * w)."""
        weight_norm, gradient_norm = tf.norm(weights), tf.norm(gradient)
        ratio = tf.math.divide_no_nan(
            self.trust * weight_norm, gradient_norm + self.decay * weight_norm
        )
        is_still = (weight_norm == 0) | (gradient_norm == 0)
        ratio = tf.where(is_still, tf.ones_like(ratio), ratio)
        return ratio * (gradient + self.decay * weights)

    def get_config(self):
        own = {"trust": self.trust, "decay": self.decay, "adapts_vectors": self.adapts_vectors}
        return {**super().get_config(), **own}
