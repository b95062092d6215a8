"""Weights of published PyTorch networks for CIFAR, as a `Classifier`.

The names of three kinds of networks are known:

    ResNet          conv1, bn1, layerX.Y.convZ, layerX.Y.bnZ with `shortcut.0`, `shortcut.1` and
                    `linear`, or with `downsample.0`, `downsample.1` and `fc`
    PreActResNet    conv1, layerX.Y.bnZ, layerX.Y.convZ, `shortcut.0`, maybe a last `bn`, `linear`
    WideResNet      conv1, blockX.layer.Y.bnZ, blockX.layer.Y.convZ, `convShortcut`, bn1, `fc`, as
                    TRADES and RobustBench have it

Nothing here needs PyTorch but `read_state_dict`.
"""

import re

import numpy as np

from ascl_tf.models.classifier import Classifier
from ascl_tf.models.convolutions import CIFAR, IMAGENET
from ascl_tf.models.heads import LinearHead
from ascl_tf.models.preactivation import ACTIVATION, INPUT, PreActResNet, WideResNet
from ascl_tf.models.resnet import ResNet

# Under these keys training programs store a state dict among other things.
WRAPPERS = ("state_dict", "model", "net")
# What nn.DataParallel puts before every name.
DATA_PARALLEL = "module."
# Counts batches for a momentum that these networks do not use.
IGNORED = "num_batches_tracked"
# A copy of the first stage that TRADES' WideResNet-34-10 makes and no pass goes through.
UNUSED = "sub_block1."
SYNONYMS = {"downsample": "shortcut", "fc": "linear", "convShortcut": "shortcut.0"}
_WIDE_STAGE = re.compile(r"^block(\d+)\.layer\.")
FIRST_OF_WIDE = "wide1.0.conv1.weight"
SHOWN_NAMES = 4


def classifier_from_state_dict(
    state_dict, *, depth=18, input_mean=None, input_std=None, shortcut=None
):
    """Returns a built `Classifier` with the weights of a PyTorch network.

    Kind, width and number of classes are read off the entries, and so is the depth of a wide
    ResNet. There is one set of batch-norm statistics (`batch_norm="shared"`), and both branches
    use it.

    Args:
        state_dict: dict from names, as in the module's docstring, to arrays in PyTorch's
            layout: kernels [out, in, height, width], matrices [out, in].
        depth: of a ResNet 18, 34 or 50, of a PreActResNet 18 or 34; a wide one says its own.
        input_mean, input_std: what the network's images were normalized with, or None.
        shortcut: what a PreActResNet's shortcuts see, which no entry says: "activation" or "input";
            None: as in RobustBench's, "activation" where there is a last batch norm, else "input".

    Raises:
        ValueError: on missing, left-over or misshapen entries; names them.
    """
    tensors = {_canonical(name): value for name, value in state_dict.items()}
    tensors = {
        name: value
        for name, value in tensors.items()
        if not (name.endswith(IGNORED) or name.startswith(UNUSED))
    }
    encoder = _make_encoder(tensors, depth, shortcut)
    head = LinearHead(_first_axis(tensors, "linear.weight"), name="linear_head")
    classifier = Classifier(encoder, head, input_mean, input_std, name="classifier")
    classifier.build((None, 32, 32, 3))
    _assign(_targets(classifier), tensors)
    return classifier


def _make_encoder(tensors, depth, shortcut):
    """Returns the unbuilt encoder whose entries these are."""
    width = _first_axis(tensors, "conv1.weight")
    stem = IMAGENET if tuple(np.shape(tensors["conv1.weight"])[2:]) == (7, 7) else CIFAR
    settings = {"batch_norm": "shared", "stem": stem, "name": "encoder"}
    if FIRST_OF_WIDE in tensors:
        blocks = {name.split(".")[1] for name in tensors if name.startswith("wide1.")}
        factor = _first_axis(tensors, FIRST_OF_WIDE) // width
        return WideResNet(6 * len(blocks) + 4, max(1, factor), width, **settings)
    # The batch norm behind the stem of a pre-activation network is that of the first block.
    if "bn1.weight" in tensors:
        return ResNet(depth, width, **settings)
    has_last = "bn.weight" in tensors
    shortcut = shortcut or (ACTIVATION if has_last else INPUT)
    return PreActResNet(depth, width, shortcut=shortcut, final_batch_norm=has_last, **settings)


def unwrap_state_dict(loaded, *, prefix=""):
    """Returns the state dict inside what a training program saved, names without wrapping.

    Args:
        loaded: a dict from names to arrays, or one that holds such a dict under
            "state_dict", "model" or "net".
        prefix: keep the entries whose names begin with it, and take it off.
            `module.` at the beginning goes in any case.

    Raises:
        ValueError: if there is no such dict, or no name begins with `prefix`.
    """
    while isinstance(loaded, dict):
        inner = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), dict)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, dict):
        raise ValueError(f"expected a state dict; found {type(loaded).__name__}")
    strange = [key for key, value in loaded.items() if not hasattr(value, "shape")]
    if strange:
        raise ValueError(f"expected a state dict of tensors; found {_some(strange)} of other types")
    names = {str(name).removeprefix(DATA_PARALLEL): value for name, value in loaded.items()}
    kept = {name[len(prefix) :]: value for name, value in names.items() if name.startswith(prefix)}
    if not kept:
        raise ValueError(
            f"expected entries that begin with {prefix!r}; found {_some(names) or 'none'}"
        )
    return {name.removeprefix(DATA_PARALLEL): value for name, value in kept.items()}


def read_state_dict(path, *, prefix=""):
    """Returns a state dict of float32 arrays, read with PyTorch from the file `path`.

    Only tensors are read (`weights_only`): no code that stands in the file is run.

    Raises:
        ImportError: without PyTorch.
        ValueError: if the file is none that PyTorch can read so, or see `unwrap_state_dict`.
        OSError: if the file cannot be opened.
    """
    import torch  # An optional extra, and seconds to import.

    with open(path, "rb") as file:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # Of many kinds, each for another sort of foreign file.
            # PyTorch's own message advises to switch the safe loading off.
            raise ValueError(
                "expected tensors only, as torch.save(network.state_dict(), ...) writes them; "
                f"found what PyTorch refuses to read so ({type(error).__name__})"
            ) from error
    tensors = unwrap_state_dict(loaded, prefix=prefix)
    return {name: tensor.detach().to(torch.float32).numpy() for name, tensor in tensors.items()}


def _canonical(name):
    name = _WIDE_STAGE.sub(r"wide\1.", name)
    return ".".join(SYNONYMS.get(part, part) for part in name.split("."))


def _first_axis(tensors, name):
    """Returns the length of an entry's first axis, which tells one size of the network."""
    if name not in tensors:
        raise ValueError(f"expected an entry {name}; found {_some(tensors)}")
    shape = np.shape(tensors[name])
    if not shape:
        raise ValueError(f"expected {name} with axes; found shape []")
    return shape[0]


def _targets(classifier):
    """Returns a dict from PyTorch's names to (our variable, axes of PyTorch in our order)."""
    encoder = classifier.encoder
    targets = {
        **_conv("conv1", encoder.stem_conv),
        **_dense("linear", classifier.linear_head.dense),
    }
    if isinstance(encoder, ResNet):
        targets |= _batch_norm("bn1", encoder.stem_bn)
    elif encoder.final_bn is not None:
        name = "bn1" if isinstance(encoder, WideResNet) else "bn"
        targets |= _batch_norm(name, encoder.final_bn)
    stages = "wide" if isinstance(encoder, WideResNet) else "layer"
    for block in encoder.blocks:
        targets |= _block(_torch_block_name(block, stages), block)
    return targets


def _torch_block_name(block, stages):
    stage, index = block.name.removeprefix("stage").split("_block")
    return f"{stages}{stage}.{int(index) - 1}"


def _block(name, block):
    targets = {}
    for number in (1, 2, 3):
        if hasattr(block, f"conv{number}"):
            targets |= _conv(f"{name}.conv{number}", getattr(block, f"conv{number}"))
            targets |= _batch_norm(f"{name}.bn{number}", getattr(block, f"bn{number}"))
    if block.shortcut_conv is not None:
        targets |= _conv(f"{name}.shortcut.0", block.shortcut_conv)
        if hasattr(block, "shortcut_bn"):
            targets |= _batch_norm(f"{name}.shortcut.1", block.shortcut_bn)
    return targets


def _conv(name, layer):
    return {f"{name}.weight": (layer.kernel, (2, 3, 1, 0))}


def _dense(name, layer):
    return {f"{name}.weight": (layer.kernel, (1, 0)), f"{name}.bias": (layer.bias, (0,))}


def _batch_norm(name, layer):
    part = layer.branch_layer("adversarial")
    variables = {
        "weight": part.gamma,
        "bias": part.beta,
        "running_mean": part.moving_mean,
        "running_var": part.moving_variance,
    }
    return {f"{name}.{key}": (variable, (0,)) for key, variable in variables.items()}


def _assign(targets, tensors):
    """Checks everything, then assigns: a model is filled whole or not at all."""
    missing = [name for name in targets if name not in tensors]
    if missing:
        raise ValueError(f"expected an entry for every weight; found none for {_some(missing)}")
    leftover = [name for name in tensors if name not in targets]
    if leftover:
        raise ValueError(f"expected no further entries; found {_some(leftover)}")
    values = {name: np.asarray(tensors[name]) for name in targets}
    for name, (variable, axes) in targets.items():
        theirs = [variable.shape[axes.index(axis)] for axis in range(len(axes))]
        if list(values[name].shape) != theirs:
            found = list(values[name].shape)
            raise ValueError(f"expected {name} of shape {theirs}; found shape {found}")
    for name, (variable, axes) in targets.items():
        variable.assign(values[name].transpose(axes))


def _some(names):
    names = [str(name) for name in names]
    rest = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")
