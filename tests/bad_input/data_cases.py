"""Images, labels and data directories that cannot be what they should."""

import json
import pathlib

import numpy as np

from ascl_tf.config import Config, identity_of
from ascl_tf.training.workdir import WorkDirectory
from tests.bad_input.case import WORKDIR, Case

# Of the evaluation; its model has three classes and takes 8 x 8 pixels.
_EVALUATE = "--model={root}/model.keras --protocol=standard --training_split="


def _folder(name, expected, found):
    return Case(f"--dataset=folder:{{root}}/{name}", 1, expected, found)


def _arrays(images, labels, expected, found):
    return Case(_EVALUATE, 1, expected, found, program="evaluate", arrays=(images, labels))


def _corruptions(name, expected, found):
    flags = "--model={root}/model.keras --protocol=corruptions --training_split= "
    flags += f"--dataset=folder:{{root}}/good --corruption_dir={{root}}/{name}"
    return Case(flags, 1, expected, found, program="evaluate")


_IMAGES, _LABELS = np.full((3, 8, 8, 3), 0.5, np.float32), np.array([0, 1, 2])


def _with(value):
    images = _IMAGES.copy()
    images[1, 2, 3, 0] = value
    return images


IMAGES = [
    _folder("floats", "9.tif: expected pixels of 8 or 16 bits", "found mode F"),
    _folder("phone", "9.HEIC: expected a picture that Pillow decodes", "found the ending .heic"),
    _folder("dangling", "9.png: expected a file or folder", "found a link to nothing"),
    _folder("loop", "expected a folder", "found a link to a folder above it"),
    _folder("stray", "9.png: expected pictures in class folders only", "beside class0"),
    _folder("truncated", "0.png: expected a decodable image", "found"),
    _folder("text", "0.png: expected a decodable image", "found: cannot identify"),
    _folder("table", "labels.csv, line 2: expected a file in the folder", "found 'gone.png'"),
    _folder("few", "--test_fraction=0.2: expected a share of folder:few", "none to test on"),
    _folder("tiny", "expected images of at least 8 x 8", "found 4 x 4"),
    _arrays(_with(np.nan), _LABELS, "`images` must be finite", "received NaN or infinity"),
    _arrays(_with(np.inf), _LABELS, "`images` must be finite", "received NaN or infinity"),
    _arrays(_IMAGES * 255, _LABELS, "`images` must be in [0, 1]", "from 127.5 to 127.5"),
    _arrays(_with(-0.1), _LABELS, "`images` must be in [0, 1]", "from -0.1 to 0.5"),
    _arrays((_IMAGES * 255).astype(int), _LABELS, "`images` must be uint8 or", "dtype int64"),
    _arrays(_IMAGES[..., :1], _LABELS, "`labels` must be below the 1 classes", "received 2"),
    _arrays(_IMAGES[:, :6, :6], _LABELS, "expected logits for float32 images", "(6, 6, 3)"),
    _corruptions("c_float", "gaussian_noise.npy: expected uint8", "found float32"),
    _corruptions("c_gray", "gaussian_noise.npy: expected uint8", "(60, 8, 8, 1)"),
    _corruptions("c_short", "gaussian_noise.npy: expected uint8 of shape (60,", "(59, 8, 8, 3)"),
    _corruptions("c_few", "shot_noise.npy: expected an array", "No such file"),
    _corruptions("c_pickle", "gaussian_noise.npy: expected an array", "Python objects in dtype"),
]


def _begun(root):
    config = Config(dataset=f"folder:{root}/good", workdir=WORKDIR)
    WorkDirectory(WORKDIR).begin_stage("pretrain", identity_of(config, "pretrain"), config)


def _other_size(name, stage, prepare=None):
    expected, found = "--test_split: expected images of shape (8, 8, 3)", "found (16, 16, 3)"
    flags = f"--dataset=folder:{{root}}/{name} --stage={stage} --validation_fraction=0.25"
    return Case(f"{flags} --global_batch_size=4", 1, expected, found, prepare=prepare)


SIZES = [
    _other_size("large", "export", _begun),
]

LABELS = [
    _folder("one", "expected labels, which --method=ascl needs", "those of one class, class0"),
    _folder("loose", "expected labels, which --method=ascl needs", "found none"),
    _folder("loose --stage=all", "--test_split: expected a split of", "found the splits train"),
    _folder("train_only --stage=all", "--test_split: expected a split", "found the splits train"),
    _folder("untold --stage=all", "--test_split: expected labels in", "found images without"),
    _folder("good --validation_split=val", "--validation_split: expected one of", "found val"),
    _folder("good --train_split=fit", "--train_split: expected one of the splits", "found fit"),
    _folder("good --stage=all --test_split=dev", "--test_split: expected one of", "found dev"),
    Case(
        "--dataset=folder:{root}/good --validation_split=train",
        2,
        "--validation_split: expected another split than --train_split",
        "found train",
    ),
    Case(
        "--dataset=folder:{root}/loose --method=simclr --stage=finetune --workdir=run",
        1,
        "expected labels, which fine-tuning after --method=simclr needs",
        "found none",
    ),
    Case(
        "--dataset=folder:{root}/loose --model={root}/model.keras --split=train",
        1,
        "/loose: expected labels in the split train",
        "found images without",
        program="evaluate",
    ),
    Case("--smoke --dataset=folder:absent", 1, "absent: expected a readable folder", "No such"),
    _folder("differing", "expected the same classes in every split", "class2"),
    _folder("empty", "class0: expected at least one picture", "found none"),
    _folder("no_splits", "expected pictures, or folders of them", "found none"),
    Case(
        "--dataset=nameless --data_dir={root}/sets --validation_fraction=0",
        1,
        "--dataset=nameless: expected labels",
        "found none",
    ),
    Case(
        "--dataset=folder:{root}/good --labeled_fraction=0.1 --validation_fraction=0",
        1,
        "expected at least one labeled image of every class",
        "none of class 'class0' with --labeled_fraction=0.1; --labeled_fraction=0.25 leaves one",
    ),
    Case(
        "--dataset=folder:{root}/good --validation_fraction=0.9",
        1,
        "expected at least one training image of every class",
        "with a validation share of 0.9; --validation_fraction=0.79 leaves one",
    ),
    Case(
        "--dataset=bundled --num_train_images=5000",
        1,
        "--num_train_images: expected 1 to 4000",
        "5000",
    ),
    Case(
        "--dataset=bundled --num_train_images=100 --global_batch_size=512",
        1,
        "--global_batch_size",
        "512",
    ),
    _arrays(_IMAGES, _LABELS - 1, "`labels` must be class ids >= 0", "received -1"),
    _arrays(_IMAGES, _LABELS + 1, "`labels` must be below the 3 classes", "received 3"),
    _arrays(_IMAGES, _LABELS * 1.0, "`labels` must be 3 integers", "dtype float64"),
    _arrays(_IMAGES, _LABELS[:2], "`labels` must be 3 integers", "shape (2,)"),
    _arrays(_IMAGES, np.eye(3, dtype=int), "`labels` must be 3 integers", "shape (3, 3)"),
    _corruptions("l_count", "labels.npy: expected the labels of N images", "found 59"),
    _corruptions("l_float", "labels.npy: expected integers of shape [5 N]", "found float64"),
    _corruptions("l_negative", "labels.npy: expected class ids from 0", "found -1"),
]


def _set(name, prepare, expected, found, status=1):
    """A prepared data set of which something is damaged; `prepare` gets its folder."""

    def copy_and_damage(root):
        target = pathlib.Path("sets") / "photos" / "1.0.0"
        target.mkdir(parents=True)
        for file in (root / "sets" / "photos" / "1.0.0").iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        prepare(target)

    return Case(
        f"--dataset={name} --data_dir=sets", status, expected, found, prepare=copy_and_damage
    )


def _text(name, text):
    return lambda folder: (folder / name).write_text(text)


def _records(change):
    def damage(folder):
        (file,) = folder.glob("*train.tfrecord*")
        file.write_bytes(change(bytearray(file.read_bytes())))

    return damage


def _flip(content):
    content[len(content) // 2] ^= 0xFF
    return content


def _promise_more(folder):
    file = folder / "dataset_info.json"
    document = json.loads(file.read_text())
    for split in document["splits"]:
        split["shardLengths"] = ["9"]
    file.write_text(json.dumps(document))


def _remove(pattern):
    def damage(folder):
        for file in folder.glob(pattern):
            file.unlink()

    return damage


_PHOTOS = "--dataset=photos: "
DATA_DIRECTORIES = [
    Case("--dataset=cifar100", 1, "--dataset=cifar100: expected a prepared", "--download"),
    Case("--dataset=folder:absent", 1, "absent: expected a readable folder", "No such"),
    Case("--dataset=folder:", 1, "--dataset=folder:: expected folder:/path", "found no path"),
    Case(
        "--dataset=cifar100 --data_dir={root}/model.keras",
        1,
        "--dataset=cifar100: expected a prepared data set",
        "found none",
    ),
    Case("--memory_limit=much", 2, "--memory_limit: expected bytes, or with", "found 'much'"),
    Case(
        "--dataset=folder:{root}/good --memory_limit=0 --cache_dir={root}/model.keras",
        1,
        "model.keras: expected a folder",
        "found a file",
    ),
    _set("photos", _text("dataset_info.json", "{"), f"{_PHOTOS}expected a readable", "found: "),
    _set("photos", _text("features.json", "{"), f"{_PHOTOS}expected a readable", "found: "),
    _set("photos", _remove("features.json"), f"{_PHOTOS}expected", "found an unknown", 2),
    _set("photos", _remove("*train.tfrecord*"), _PHOTOS, "'train' cannot be read"),
    _set("photos", _records(lambda content: content[:-5]), _PHOTOS, "'train' cannot be read: "),
    _set("photos", _records(_flip), _PHOTOS, "'train' cannot be read: "),
    _set("photos", _promise_more, _PHOTOS, "holds fewer images than its metadata says"),
    Case("--dataset=grays --data_dir={root}/sets", 1, "expected images with 3 channels", "found 1"),
    Case("--dataset=numbers --data_dir={root}/sets", 1, "with an image feature", "found features"),
    Case(
        "--dataset=photos --data_dir={root}/sets --split=tset --model={root}/model.keras",
        1,
        "--split: expected",
        "found tset",
        program="evaluate",
    ),
]
