"""Checks of a folder of images before tensorflow-datasets reads it.

`tfds.ImageFolder` is silent about empty classes, files that it skips, grey images
that it turns into RGB, and classes that only one split has. Here each is an error:
a number measured on silently converted data would not be what its record says.
"""

import os

from PIL import Image

from ascl_tf.errors import RunError

# What tfds.ImageFolder reads; it skips every other file without a word.
_READ = (".jpg", ".jpeg", ".png")
_OTHER_IMAGES = (".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".npy")


def check_image_folder(path, *, split=None, image_size=None):
    """Checks a folder laid out as `<path>/<split>/<class>/<file>`.

    Every split must hold the same two or more classes, each with at least one PNG or
    JPEG file. The files must be decodable, stored as RGB (grey, palette, CMYK and alpha
    images are refused rather than converted) and of one size unless `image_size` is
    given. Files that are no images are ignored.

    Args:
        path: the folder.
        split: the split whose files are opened; None opens those of every split.
            The classes of all splits are compared in either case.
        image_size: int to which images will be resized, or None.

    Raises:
        RunError: naming the first folder or file at fault.
    """
    classes = {name: _subfolders(os.path.join(path, name)) for name in _subfolders(path)}
    if not classes:
        raise RunError(f"folder:{path}: expected split folders such as train/, found none.")
    if split is not None and split not in classes:
        raise RunError(
            f"folder:{path}: expected one of the splits {sorted(classes)}, found {split!r}."
        )
    _check_classes(path, classes)
    for name in sorted(classes) if split is None else [split]:
        folders = [os.path.join(path, name, label) for label in classes[name]]
        _check_images([file for folder in folders for file in _image_files(folder)], image_size)


def _subfolders(path):
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise RunError(f"{path}: expected a readable folder, found: {error.strerror}.") from error


def _check_classes(path, classes):
    first = sorted(classes)[0]
    for split in sorted(classes):
        if len(classes[split]) < 2:
            raise RunError(
                f"{os.path.join(path, split)}: expected at least two class folders, "
                f"found {classes[split]}."
            )
        if classes[split] != classes[first]:
            only = sorted(set(classes[split]) ^ set(classes[first]))
            raise RunError(
                f"folder:{path}: expected the same classes in every split, found "
                f"{only} in only one of {first!r} and {split!r}."
            )


def _image_files(folder):
    names = sorted(os.listdir(folder))
    unread = [name for name in names if name.lower().endswith(_OTHER_IMAGES)]
    if unread:
        raise RunError(
            f"{os.path.join(folder, unread[0])}: expected PNG or JPEG files, found another format "
            f"({len(unread)} such files in this folder)."
        )
    files = [os.path.join(folder, name) for name in names if name.lower().endswith(_READ)]
    if not files:
        raise RunError(f"{folder}: expected at least one PNG or JPEG file, found none.")
    return files


def _check_images(files, image_size):
    first_size = None
    for file in files:
        size = _rgb_size(file)
        first_size = first_size or size
        if image_size is None and size != first_size:
            raise RunError(
                f"{file}: expected images of one size, found {_text(size)} here and "
                f"{_text(first_size)} in {files[0]}; pass --image_size to resize them."
            )


def _rgb_size(file):
    """Returns (width, height) of a file that decodes to RGB."""
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as image:
            image.load()
            # A palette or grey file may also hold transparency; both are named by the mode.
            mode, size = image.mode, image.size
            has_alpha = "transparency" in image.info
    # Pillow raises OSError, SyntaxError, ValueError and its own types on damaged files.
    except Exception as error:
        raise RunError(f"{file}: expected a decodable image, found: {error}") from error
    if mode != "RGB" or has_alpha:
        found = f"{mode} with transparency" if has_alpha else mode
        raise RunError(f"{file}: expected an image stored as RGB, found mode {found}.")
    return size


def _text(size):
    return f"{size[0]}x{size[1]}"
