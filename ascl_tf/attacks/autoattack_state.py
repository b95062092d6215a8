"""State file of a long AutoAttack run, so that it can be resumed.

The file is JSON with its own checksum, and is replaced as a whole after every batch. Adversarial
images are in a folder `<file>.images` beside it, one npz for each batch that found some. They are
written before the file with their names and checksums.
"""

import contextlib
import hashlib
import io
import json
import pathlib

import numpy as np

from ascl_tf.errors import RunError
from ascl_tf.process.files import remove_leftovers, write_whole

_FORMAT = 4
# Logits of the same model on another machine differ by rounding; share of the largest.
_LOGITS_TOLERANCE = 1e-3
# What an evaluation's images and labels come from, where only their hash is known.
_CHOSEN_BY = {"data": " (other images or labels: see `dataset`, `split`, `image_size`)"}


class StateFile:
    """The state of one run in a file.

    Args:
        path: path of the file.
        identity: identity of the run: names -> JSON values that must be equal to resume it.
        logits: [n, num_classes], the logits of the first images, which differ for another model.
            None: logits are not compared, and nothing can be saved.
    """

    def __init__(self, path, *, identity, logits):
        self._path, self._folder = pathlib.Path(path), _images_folder(path)
        self._identity = {"format": _FORMAT, **identity}
        self._logits = None if logits is None else np.asarray(logits, np.float64)

    def begin(self):
        """Prepares for a new run.

        Raises:
            RunError: if there is already a state, or the place cannot be written.
        """
        check_no_state(self._path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    def exists(self):
        """Returns whether there is a state to resume from."""
        return self._path.exists()

    def load(self):
        """Returns the last argument of `save`, after checking that it belongs to this run.

        Raises:
            RunError: if the file cannot be read, or belongs to another run; says what differs.
        """
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            recorded = document.pop("sha256")
            identity, logits, progress = (document[n] for n in ("identity", "logits", "progress"))
        except OSError as error:
            raise RunError(
                f"{self._path}: expected a readable state file; found: {error.strerror}"
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{self._path}: expected a state file; found something else") from error
        if recorded != _checksum(document):
            raise RunError(
                f"{self._path}: expected a whole state file; found one whose checksum differs"
            )
        self._check(identity)
        if self._logits is not None:
            self._check_logits(np.asarray(logits, np.float64))
        return progress

    def save(self, progress):
        """Replaces the file; `progress` is a dictionary that JSON can hold."""
        document = {
            "identity": self._identity,
            "logits": self._logits.tolist(),
            "progress": progress,
        }
        text = json.dumps(document | {"sha256": _checksum(document)})
        self._replace(self._path, lambda file: file.write(text.encode()))

    def save_images(self, number, rows, images):
        """Writes adversarial images of one batch; returns the file's (name, checksum)."""
        archive, name = io.BytesIO(), f"{number:06d}.npz"
        np.savez(archive, rows=rows, images=images)
        content = archive.getvalue()
        self._replace(self._folder / name, lambda file: file.write(content))
        return name, hashlib.sha256(content).hexdigest()

    def load_images(self, saved, into):
        """Puts adversarial images into the array `into`, in the order of `saved`.

        Args:
            saved: list of the results of `save_images`.
            into: [N, H, W, C].

        Raises:
            RunError: if a file cannot be read, or is not the one that was written; names the file.
        """
        for name, checksum in saved:
            content = self._read_images(self._folder / name, checksum)
            with np.load(io.BytesIO(content), allow_pickle=False) as batch:
                into[batch["rows"]] = batch["images"]

    def _read_images(self, path, checksum):
        expected = "expected adversarial images of an earlier batch"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: {expected}; found: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != checksum:
            raise RunError(f"{path}: {expected}; found a file whose checksum differs")
        return content

    def _check(self, identity):
        for name, expected in self._identity.items():
            found = identity.get(name)
            if found != expected:
                raise RunError(
                    place=self._path,
                    expected=f"the state of a run with {name} {expected}",
                    found=f"{found}{_CHOSEN_BY.get(name, '')}",
                )

    def _check_logits(self, logits):
        same_shape = logits.shape == self._logits.shape
        scale = max(np.abs(self._logits).max(), 1e-12)
        if not same_shape or np.abs(logits - self._logits).max() > _LOGITS_TOLERANCE * scale:
            raise RunError(
                f"{self._path}: expected the state of a run on this model; "
                "found other logits for the first images"
            )

    def _replace(self, target, write):
        try:
            write_whole(target, write)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error):
        return RunError(
            f"{self._path}: expected a place that can be written; found: {error.strerror}"
        )


def _checksum(document):
    # Of the values, not of the text: JSON gives back the same floats.
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def check_no_state(path):
    """Raises RunError if there is a state file already."""
    if pathlib.Path(path).exists():
        raise RunError(
            f"{path}: expected no state of an earlier run; found one "
            "(resume it, or delete it to begin again)"
        )


def delete_state(path):
    """Removes a state file, if there is one, and the images that belong to it."""
    path, folder = pathlib.Path(path), _images_folder(path)
    path.unlink(missing_ok=True)
    remove_leftovers(folder)
    for images in folder.glob("[0-9]*.npz"):
        images.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _images_folder(path):
    path = pathlib.Path(path)
    return path.with_name(f"{path.name}.images")
