"""Classes and features of picture files, batch by batch, never with all pictures in memory."""

import concurrent.futures
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.data.pictures import is_of_use, is_picture, read_picture
from ascl_tf.errors import RunError
from ascl_tf.serving.opening import open_model

BATCH_SIZE = 64


class Prediction(NamedTuple):
    """A model's prediction for one picture.

    Attributes:
        file: path of the picture.
        classes: class ids, the likeliest first; empty if the picture could not be read.
        class_names: names of these classes.
        probabilities: probabilities of these classes, in [0, 1].
        error: one line on why the picture could not be read; empty if it was read.
    """

    file: str
    classes: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""


class Embedded(NamedTuple):
    """Features of pictures.

    Attributes:
        files: paths of the M pictures that could be read.
        features: float32 [M, F].
        errors: path -> error, for the pictures that could not be read.
    """

    files: list[str]
    features: np.ndarray
    errors: dict[str, str]


def classify(
    model,
    pictures,
    *,
    top_k: int = 1,
    batch_size: int = BATCH_SIZE,
    image_size: int | None = None,
    resize: str | None = None,
    trust_model: bool = False,
) -> list[Prediction]:
    """Returns a `Prediction` for each picture.

    Args:
        model: path of a SavedModel folder or of a .keras, .tflite or .onnx file; or a Keras model.
        pictures: path of a picture, path of a folder that is searched at any depth, or a list of
            these.
        top_k: number of classes per picture.
        batch_size: pictures per pass; affects only time and memory.
        image_size: height and width of the model's images, if the model takes any size.
        resize: how to resize pictures to the model's size: "stretch", "crop" or "pad". None: as in
            training if the model's card says so, else "crop".
        trust_model: whether to load a .keras file that may run Python code.

    Raises:
        ValueError: if `top_k` or `batch_size` is not positive, or `resize` is not one of the above.
        RunError: if there is no such model. A picture that cannot be read raises nothing; see
            `Prediction`.
    """
    opened = open_model(model, image_size=image_size, resize=resize, trust_model=trust_model)
    return list(predictions(opened, find_pictures(pictures), top_k=top_k, batch_size=batch_size))


def embed(
    model,
    pictures,
    *,
    batch_size: int = BATCH_SIZE,
    image_size: int | None = None,
    resize: str | None = None,
    trust_model: bool = False,
) -> Embedded:
    """Returns the features of pictures: the inputs of the model's last layer.

    Takes the arguments of `classify`, except `top_k`.

    Raises:
        ValueError: if `batch_size` is not positive, or `resize` is not one of the choices there.
        RunError: if there is no such model, or it does not provide its features.
    """
    opened = open_model(model, image_size=image_size, resize=resize, trust_model=trust_model)
    found = list(features_of(opened, find_pictures(pictures), batch_size=batch_size))
    return Embedded(
        [file for file, features, _ in found if features is not None],
        stacked([features for _, features, _ in found if features is not None]),
        {file: error for file, features, error in found if features is None},
    )


def stacked(rows):
    """Returns rows of features as one float32 array [M, F]."""
    return np.stack(rows).astype(np.float32) if rows else np.zeros([0, 0], np.float32)


def predictions(opened, files, *, top_k=1, batch_size=BATCH_SIZE) -> Iterator[Prediction]:
    """Yields a `Prediction` for each (path, "") or (path, error), in order."""
    if top_k < 1:
        raise ValueError(f"`top_k` must be >= 1; received {top_k}.")
    for file, logits, error in _answers(opened, opened.logits_fn, files, batch_size):
        if error:
            yield Prediction(file, error=error)
            continue
        probabilities = tf.nn.softmax(logits).numpy()
        chosen = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
        names = tuple(opened.name_of(number) for number in chosen)
        values = tuple(float(probabilities[number]) for number in chosen)
        yield Prediction(file, tuple(chosen), names, values)


def features_of(opened, files, *, batch_size=BATCH_SIZE) -> Iterator[tuple]:
    """Yields (path, features [F] or None, error) for each (path, "") or (path, error)."""
    if opened.features_fn is None:
        raise RunError(
            field="model",
            expected="a SavedModel with a signature features, or a Keras model with a method or a "
            "layer of that name",
            found="a model without",
        )
    yield from _answers(opened, opened.features_fn, files, batch_size)


def find_pictures(pictures) -> Iterator[tuple[str, str]]:
    """Yields (path, error) for each picture; the error is empty unless a path cannot be read.

    Args:
        pictures: path of a picture or folder, or a list of these. In a folder, hidden files are
            skipped, and files that have neither the name nor the first bytes of a picture.
    """
    is_one = isinstance(pictures, (str, bytes, os.PathLike))
    for given in [pictures] if is_one else pictures:
        path = os.fsdecode(given)
        if not os.path.isdir(path):
            yield path, ""
            continue
        found = False
        for found_path, error in _pictures_below(path):
            found = True
            yield found_path, error
        if not found:
            yield path, "expected at least one picture in the folder, found none"


def _pictures_below(path):
    def refuse(error):
        failed.append((error.filename, f"expected a readable folder, found: {error.strerror}"))

    failed: list[tuple[str, str]] = []
    seen = {os.path.realpath(path)}
    for folder, folders, files in os.walk(path, onerror=refuse, followlinks=True):
        # A link may lead to a folder above it.
        places = {os.path.realpath(os.path.join(folder, name)): name for name in folders}
        new = [name for place, name in places.items() if place not in seen and is_of_use(name)]
        seen |= set(places)
        folders[:] = sorted(new)
        for file in (os.path.join(folder, name) for name in sorted(filter(is_of_use, files))):
            try:
                if is_picture(file):
                    yield file, ""
            except RunError as error:
                yield file, _without_name(error, file)
    yield from failed


def _answers(opened, function: Callable, files: Iterable, batch_size):
    """Yields (path, row of the function's output or None, error)."""
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1; received {batch_size}.")

    def read(item):
        file, error = item
        if error:
            return file, None, error
        try:
            return file, opened.fit(read_picture(file)[0]), ""
        except RunError as error:
            return file, None, _without_name(error, file)

    files = iter(files)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        while batch := list(itertools.islice(files, batch_size)):
            with warnings.catch_warnings():
                # Pillow's remarks on metadata; what it cannot decode is an error.
                warnings.simplefilter("ignore")
                found = list(pool.map(read, batch))
            images = [image for _, image, _ in found if image is not None]
            rows = iter(function(np.stack(images)) if images else ())
            for file, image, error in found:
                yield file, None if image is None else next(rows), error


def _without_name(error, file):
    """Returns the line of an error without the file, which is printed beside it."""
    text = str(error).removeprefix(f"{file}: ").replace(f" {file!r}", "")
    return " ".join(text.split())
