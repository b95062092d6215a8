"""LARS: layer-wise learning rates for SGD with momentum."""

import keras
import tensorflow as tf

from ascl_tf.training.sgd import Sgd


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
