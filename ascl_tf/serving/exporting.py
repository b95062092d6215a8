"""Export of a classifier to a folder: files for serving, each checked, and a card about them."""

import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from ascl_tf.config.sections import EXPORT_FORMATS
from ascl_tf.data.resizing import check_way
from ascl_tf.errors import RunError
from ascl_tf.process.terminal import encodable
from ascl_tf.serving import checking, onnx, tflite
from ascl_tf.serving.card import CARD, make_card, write_card
from ascl_tf.serving.loading import load_model
from ascl_tf.serving.saved_model import write_saved_model
from ascl_tf.serving.served import as_served

SAVED_MODEL, KERAS, TFLITE, ONNX = EXPORT_FORMATS
_SAVED_MODEL_FILE = "saved_model.pb"


def export_classifier(
    classifier,
    path,
    *,
    image_shape=None,
    formats=(SAVED_MODEL,),
    class_names=None,
    resize="crop",
    train=None,
    test=None,
    protocol="pgd20",
    details=None,
):
    """Writes a folder of files that serve `classifier`, completely or not at all.

    The folder also gets `card.json`, `README.md` and `assets/labels.txt`. Each file is loaded
    again and compared with `classifier` before the folder appears.

    Args:
        classifier: built Keras model images -> logits, such as the result of `finetune`; or a
            `LoadedModel`.
        path: folder to write. An earlier export there is replaced once the new one is complete.
        image_shape: (H, W, 3); None: the shape that the model was built for.
        formats: one or more of
            "saved_model": see `write_saved_model` for its signatures.
            "keras": `model.keras`, made of Keras' own layers, without batch-norm branches.
            "tflite": `model.tflite`, and `model_int8.tflite` with 8-bit integers inside.
            "onnx": `model.onnx`.
        class_names: one name per class; None: those of `train` or `test`, else "0", "1", ...
        resize: how to resize pictures to the model's size: "stretch", "crop" or "pad".
        train: `ImageDataset`; "tflite" calibrates its integers on some of its images.
        test: labeled `ImageDataset`. The card records the accuracy of each file on some of its
            images, and for "tflite" and "onnx" also on these images under attack. None: the files
            are compared on noise.
        protocol: name of that attack, which is made on `classifier`.
        details: dictionary of plain values for the card.

    Returns:
        The card, a dictionary.

    Raises:
        ValueError: if an argument does not fit the above.
        RunError: if `path` holds something else or cannot be written, `classifier` cannot be
            converted to a format, a required library is missing, or the outputs of a file differ
            from those of `classifier`.
    """
    check_way(resize)
    path, served = pathlib.Path(path).absolute(), as_served(classifier, image_shape)
    formats = check_export(path, formats)
    _check_images(served.image_shape, train=train, test=test)
    # What other libraries run is attacked, too.
    attack = protocol if {TFLITE, ONNX} & set(formats) else None
    reference = checking.make_reference(served, test, attack)
    names = _class_names(class_names, (train, test), reference.logits.shape[1])
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        files = {}
        for name in formats:
            writer = _WRITERS[name]
            found = writer(served, temporary, reference, class_names=names, how=resize, train=train)
            files |= {file: {**found[file], "bytes": _size(temporary, file)} for file in found}
        card = make_card(
            class_names=names,
            image_shape=served.image_shape,
            how=resize,
            details=details or {},
            files=files,
        )
        write_card(temporary, card)
        _replace_folder(path, temporary)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RunError(f"{path}: expected a folder that can be written; found: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return card


def check_export(path, formats):
    """Returns the formats in order if a classifier can be exported in them to `path`.

    Checks what can be checked without a classifier. Arguments and errors as in
    `export_classifier`.
    """
    _check_place(pathlib.Path(path))
    formats = _check_formats(formats)
    if ONNX in formats:
        onnx.check_libraries()
    return formats


def _check_images(image_shape, **datasets):
    for name, dataset in datasets.items():
        if dataset is not None and dataset.image_shape != tuple(image_shape):
            raise ValueError(
                f"`{name}` must hold images of shape {tuple(image_shape)}, as the model takes; "
                f"received {dataset.image_shape}."
            )


def _check_place(path):
    """Raises RunError unless there is nothing at `path` but what an export may replace."""
    is_free = not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))
    if is_free or any((path / file).is_file() for file in (_SAVED_MODEL_FILE, CARD)):
        return
    found = "a folder that holds something else" if path.is_dir() else "a file"
    raise RunError(
        place=path, expected="no file or folder there, or an exported model", found=found
    )


def _size(folder, file):
    """Returns the size of a file in bytes; for a SavedModel, its variables included."""
    beside = (folder / "variables").iterdir() if file == _SAVED_MODEL_FILE else ()
    return sum(path.stat().st_size for path in (folder / file, *beside))


def _check_formats(formats):
    formats = [formats] if isinstance(formats, str) else formats
    unknown = sorted(set(formats) - set(EXPORT_FORMATS))
    if unknown or not formats:
        found = unknown[0] if unknown else "none"
        raise ValueError(f"`formats` must be of {', '.join(EXPORT_FORMATS)}; received {found}.")
    return [name for name in EXPORT_FORMATS if name in formats]


def _class_names(names, datasets, num_classes):
    """Returns a name for each class that any file can hold."""
    known = [dataset.class_names for dataset in datasets if dataset is not None]
    if names is None:
        names = next((found for found in known if len(found) == num_classes), None)
    if names is None:
        names = [str(number) for number in range(num_classes)]
    if isinstance(names, str) or len(names) != num_classes:
        found = repr(names) if isinstance(names, str) else len(names)
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one per logit; received {found}."
        )
    return [encodable(str(name)) for name in names]


def _write_saved_model(served, folder, reference, *, class_names, how, **_):
    write_saved_model(served, folder, class_names=class_names, how=how)
    logits_fn = load_model(folder).logits_fn
    found = checking.compare(reference, lambda images: logits_fn(images)["logits"], folder)
    return {_SAVED_MODEL_FILE: found}


def _write_keras(served, folder, reference, **_):
    # Imported late: it knows every network of the package.
    from ascl_tf.models.plain import as_plain_model

    if served.model is None:
        raise RunError(
            place=KERAS,
            expected="a model whose layers are known: of a run, or of a .keras file",
            found="a SavedModel, which holds operations alone",
        )
    file = folder / "model.keras"
    as_plain_model(served.model, served.image_shape).save(file)
    model = load_model(file).logits_fn
    run = lambda images: model(images, training=False)  # noqa: E731
    return {file.name: checking.compare(reference, run, file.name)}


def _write_tflite(served, folder, reference, *, train, **_):
    if train is None:
        raise ValueError(
            "`train` must be the training images, with which tflite calibrates its integers; "
            "received none."
        )
    rows = np.random.default_rng(0).permutation(len(train))[: tflite.NUM_CALIBRATED]
    images = np.asarray(train.images[np.sort(rows)]) / np.float32(255)
    found = {}
    for file, calibration in (("model.tflite", None), ("model_int8.tflite", images)):
        (folder / file).write_bytes(tflite.convert(served, calibration))
        run = tflite.load(folder / file)
        found[file] = checking.compare(reference, run, file, is_exact=calibration is None)
    return found


def _write_onnx(served, folder, reference, **_):
    file = folder / "model.onnx"
    file.write_bytes(onnx.convert(served))
    return {file.name: checking.compare(reference, onnx.load(file), file.name)}


_WRITERS = {
    SAVED_MODEL: _write_saved_model,
    KERAS: _write_keras,
    TFLITE: _write_tflite,
    ONNX: _write_onnx,
}


def _replace_folder(path, new):
    """Replaces the folder `path` by `new`; if killed in between, one of the two is left."""
    old = path.with_name(f".{path.name}.old.tmp")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    os.replace(new, path)
    shutil.rmtree(old, ignore_errors=True)
