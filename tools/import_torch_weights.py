"""Turns the weights of a published PyTorch network for CIFAR into a .keras file.

    pip install 'ascl-tf[torch]'
    python tools/import_torch_weights.py --state_dict=model.pt --output=model.keras
    python -m ascl_tf.evaluate --model=model.keras --dataset=cifar10 --protocol=standard,pgd20

The network is a ResNet-18, 34 or 50, a pre-activation ResNet-18 or 34, or a wide ResNet, saved
as a state dict; its names may be those of torchvision (downsample, fc), of most CIFAR programs
(shortcut, linear), or of RobustBench's and TRADES' networks. If it was trained on normalized
images, give mean and deviation: they become part of the model.

Exit status 2 for anything wrong in the flags, 1 for what is wrong with the files.
"""

import argparse
import os
import pathlib
import sys

from ascl_tf.config.paths import expand
from ascl_tf.process.terminal import escape_unprintable


def main(argv=None):
    """Imports one state dict; returns the exit status."""
    escape_unprintable()
    flags = _parse(argv)
    # Imported late: TensorFlow takes seconds, which a mistyped flag need not wait for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ascl_tf.models import torch_weights

    try:
        tensors = torch_weights.read_state_dict(flags.state_dict, prefix=flags.prefix)
        classifier = torch_weights.classifier_from_state_dict(
            tensors,
            depth=flags.depth,
            input_mean=flags.input_mean,
            input_std=flags.input_std,
            shortcut=flags.shortcut,
        )
        _check_num_classes(classifier, flags.num_classes)
    except ImportError as error:
        return _fail(
            f"PyTorch: expected it installed (pip install 'ascl-tf[torch]'); found: {error}"
        )
    except OSError as error:
        return _fail(
            f"--state_dict={flags.state_dict}: expected a readable file; found: {error.strerror}"
        )
    except ValueError as error:
        return _fail(f"--state_dict={flags.state_dict}: {error}")
    try:
        _save(classifier, pathlib.Path(flags.output))
    except OSError as error:
        reason = error.strerror or error
        return _fail(
            f"--output={flags.output}: expected a file that can be written; found: {reason}"
        )
    encoder = classifier.encoder
    kind = type(encoder).__name__
    print(f"Wrote {kind}-{encoder.depth} of width {encoder.width} into {flags.output}.")
    return 0


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="import_torch_weights",
        allow_abbrev=False,
        description="Turns the weights of a PyTorch network for CIFAR into a .keras file.",
    )
    add = parser.add_argument
    add("--state_dict", type=expand, required=True, help="file written by torch.save")
    add("--output", required=True, type=_keras_file, help="file to write, ending in .keras")
    add("--depth", type=int, default=18, choices=(18, 34, 50), help="of a ResNet; 18 by default")
    add(
        "--shortcut",
        choices=("activation", "input"),
        help="what a PreActResNet's shortcuts see; by default activation where it has a last "
        "batch norm, else input, as in RobustBench",
    )
    add("--num_classes", type=int, help="checked against the last layer where given")
    add("--input_mean", type=_channels, help="as in 0.4914,0.4822,0.4465; none by default")
    add("--input_std", type=_deviations, help="as in 0.2470,0.2435,0.2616; none by default")
    add("--prefix", default="", help="read only the entries that begin so, as in encoder.")
    flags = parser.parse_args(argv)
    if (flags.input_mean is None) != (flags.input_std is None):
        parser.error("--input_mean and --input_std: expected both or neither; found one")
    return flags


def _keras_file(text):
    if not text.endswith(".keras"):
        raise argparse.ArgumentTypeError(f"expected a name that ends in .keras; found {text}")
    return expand(text)


def _channels(text):
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers as in 0.5,0.5,0.5; found {text}")
    return values


def _deviations(text):
    values = _channels(text)
    if not min(values) > 0:
        raise argparse.ArgumentTypeError(f"expected three numbers above 0; found {text}")
    return values


def _check_num_classes(classifier, num_classes):
    found = classifier.linear_head.num_classes
    if num_classes not in (None, found):
        raise ValueError(f"expected --num_classes={num_classes} classes; found {found}")


def _save(classifier, path):
    """Writes the file whole or not at all."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        classifier.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _fail(message):
    print(f"import_torch_weights: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
