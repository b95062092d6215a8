"""Checkpoints that cannot be read, or are of another network."""

import pathlib
import shutil

import tensorflow as tf

from ascl_tf.training.checkpoints import trackable
from ascl_tf.training.checksums import write_checksums
from tests.bad_input.case import WORKDIR, Case
from tests.methods import helpers

_SMALL = "--dataset=folder:{root}/good --global_batch_size=4 --validation_fraction=0.25"
_FOLDER = "checkpoints/pretrain/last"
_DATA, _INDEX, _SUMS = "data-00000-of-00001", "index", "sha256"


def write_checkpoint(folder, *, feature_dim=4, part="encoder"):
    """Writes the checkpoint of a tiny encoder, as a pre-training leaves it."""
    encoder = helpers.TinyEncoder(feature_dim=feature_dim, name="encoder")
    encoder.build((None, *helpers.IMAGE_SHAPE))
    pathlib.Path(folder).mkdir(parents=True)
    prefix = f"{folder}/ckpt-4"
    tf.train.Checkpoint(**{part: trackable(encoder.weights)}).write(prefix)
    write_checksums(prefix)


def _finetune(expected, found, prepare, status=1, flags=""):
    return Case(f"--stage=finetune {_SMALL} {flags}", status, expected, found, prepare=prepare)


def _damaged(suffix, damage, found):
    """A checkpoint one of whose files is not what it was."""

    def prepare(root):
        shutil.copytree(root / "checkpoint", pathlib.Path(WORKDIR) / _FOLDER)
        file = pathlib.Path(WORKDIR) / _FOLDER / f"ckpt-4.{suffix}"
        content = damage(bytearray(file.read_bytes()))
        file.unlink() if content is None else file.write_bytes(content)

    return _finetune(f"{_FOLDER}/ckpt-4: expected a whole checkpoint", found, prepare)


def _flipped(content):
    content[len(content) // 2] ^= 1
    return content


def _other(**settings):
    return lambda root: write_checkpoint(f"{WORKDIR}/{_FOLDER}", **settings)


def _make(path, text=None):
    def prepare(root):
        place = pathlib.Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if text is None else place.write_text(text)

    return prepare


_NONE = f"run/{_FOLDER}: expected a checkpoint"
# Of `--stage=all`: what fine-tuning would refuse is refused before the pre-training.
_ALL = f"--stage=all --method=simclr {_SMALL}"

CHECKPOINTS = [
    Case(
        f"{_ALL} --finetune_global_batch_size=500",
        1,
        "--finetune_global_batch_size: expected a positive number of at most",
        "found 500",
    ),
    Case(
        f"{_ALL} --encoder_checkpoint=best",
        2,
        "--encoder_checkpoint=best: expected last, or a pre-training that validates a classifier",
        "found --method=simclr",
    ),
    Case(
        f"{_ALL} --encoder_part=encoder_rotation",
        2,
        "--encoder_part=encoder_rotation: expected one of encoder",
        "found --method=simclr",
    ),
    _finetune(_NONE, "found none", None),
    _finetune(_NONE, "found none", _make(f"{WORKDIR}/{_FOLDER}")),
    _finetune(_NONE, "found none", _make(f"{WORKDIR}/{_FOLDER}", "no folder")),
    _finetune(_NONE, "found none", _make(f"{WORKDIR}/{_FOLDER}/checkpoint", "no checkpoint")),
    _damaged(_DATA, lambda content: content[:100], f"another SHA-256 of ckpt-4.{_DATA}"),
    _damaged(_DATA, _flipped, f"another SHA-256 of ckpt-4.{_DATA}"),
    _damaged(_DATA, lambda content: None, f"ckpt-4.{_DATA} missing"),
    _damaged(_INDEX, lambda content: content[:30], "another SHA-256 of ckpt-4.index"),
    _damaged(_INDEX, lambda content: None, "ckpt-4.index missing"),
    _damaged(_SUMS, lambda content: b"", "no list of checksums in ckpt-4.sha256"),
    _damaged(_SUMS, lambda content: b"\xff\xfe", "ckpt-4.sha256 unreadable"),
    _finetune("ckpt-4: expected a whole checkpoint", "found", _other(feature_dim=3)),
    _finetune("ckpt-4: expected a whole checkpoint", "found", _other(part="stranger")),
    _finetune(
        "absent: expected the work directory",
        "found nothing there",
        None,
        status=2,
        flags="--pretrained=absent",
    ),
    Case(f"--stage=evaluate {_SMALL}", 1, "checkpoints/finetune_laf/", "found none"),
    Case(f"--stage=export {_SMALL}", 1, "checkpoints/finetune_laf/", "found none"),
]
