"""Batch-norm branches for any Keras model: a copy of it, and the branch set around each call.

The layers of such a model pass no branch on to one another. It is set for the thread in which the
model is called, since each replica has a thread of its own.
"""

import contextlib
import threading

import keras

from ascl_tf.errors import ConfigError
from ascl_tf.models.batch_norm import BRANCHES, DualBatchNormalization
from ascl_tf.models.copies import NoCopyError, copy_model, is_graph

_LOCAL = threading.local()
REMEDY = "(`batch_norm=shared` trains the network as it is)"


@contextlib.contextmanager
def batch_norm_branch(branch):
    """Names the branch of the models of `with_dual_batch_norm` that are called inside.

    It holds for this thread alone: set it inside of the function that `strategy.run` is given, and
    inside of one that is traced again, such as that of `tf.recompute_grad`.

    Args:
        branch: "clean" or "adversarial"; with `batch_norm="triple"` also "adversarial_ce".
    """
    before = getattr(_LOCAL, "branch", None)
    _LOCAL.branch = branch
    try:
        yield
    finally:
        _LOCAL.branch = before


class BranchedBatchNormalization(DualBatchNormalization):
    """Stands in for a batch norm layer of any model; each branch is a layer like it, synchronized.

    Call with inputs, and `training` and `mask` as of `keras.layers.BatchNormalization`, inside of
    `batch_norm_branch`.

    Args:
        layer: what is stood in for.
        batch_norm: "separate", "shared" or "triple".
    """

    def __init__(self, layer, batch_norm="separate"):
        keras.layers.Layer.__init__(self, name=layer.name, dtype=layer.dtype_policy)
        self.supports_masking = True

        def make(name, dtype):
            branch = type(layer).from_config({**layer.get_config(), "name": name})
            branch.synchronized = True
            return branch

        self._make_branches(batch_norm, make)

    def call(self, inputs, training=None, mask=None):
        branch = getattr(_LOCAL, "branch", None)
        if branch is None:
            # Not a default: a function that is traced again elsewhere would take it silently.
            raise RuntimeError(
                f"batch norm {self.name}: expected a branch, set by batch_norm_branch around the "
                "call and inside of every function that is traced again; found none"
            )
        return self.branch_layer(branch)(inputs, training=training, mask=mask)

    def take_weights(self, layer):
        """Sets every branch to the weights of the layer that is stood in for."""
        for branch in self.branches.values():
            branch.set_weights(layer.get_weights())


def with_dual_batch_norm(model, batch_norm="separate"):
    """Returns a copy of a Keras model whose batch norm layers have named branches.

    Each branch begins with the weights of `model`. Call the copy inside of `batch_norm_branch`.
    Batch statistics are those of the global batch.

    Args:
        model: a functional or Sequential `keras.Model`; others may be nested in it.
        batch_norm: "separate" (branches "clean" and "adversarial"), "triple" (a third,
            "adversarial_ce"), or "shared" (one set for all).

    Raises:
        ConfigError: if the model has no batch norm, or some that no branch can be given to: in a
            subclassed model, or in a layer of one's own.

    Example:
        >>> import keras
        >>> layers = [keras.Input((8, 8, 3)), keras.layers.BatchNormalization(name="bn")]
        >>> copy = with_dual_batch_norm(keras.Sequential(layers))
        >>> with batch_norm_branch("clean"):
        ...     outputs = copy(keras.ops.ones((2, 8, 8, 3)), training=True)
        >>> sorted(copy.get_layer("bn").branches)
        ['adversarial', 'clean']
    """
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in _layers(model)):
        raise _refused(batch_norm, f"none in {model.name}")
    hidden = [f"{layer.name} in {owner.name}" for owner, layer in _hidden_batch_norms(model)]
    if hidden:
        raise _refused(batch_norm, f"{hidden[0]}, a {OF_ITS_OWN} that Keras does not copy by parts")

    def replace(layer):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        return BranchedBatchNormalization(layer, batch_norm) if is_norm else None

    try:
        return copy_model(model, None, replace)
    except NoCopyError as error:
        raise _refused(batch_norm, f"that {error}") from error


OF_ITS_OWN = "layer or model of its own class"


def _hidden_batch_norms(model):
    """Yields (layer or model that holds it, batch norm) for each that no copy could replace."""
    for owner in _layers(model):
        if is_graph(owner) or isinstance(owner, BranchedBatchNormalization):
            continue
        for layer in owner._layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                yield owner, layer


def _layers(model):
    return list(model._flatten_layers())


def _refused(batch_norm, found):
    return ConfigError(
        field="batch_norm",
        value=batch_norm,
        expected=f"batch norm layers that {' and '.join(BRANCHES)} images can have their own of "
        f"{REMEDY}",
        found=found,
    )
