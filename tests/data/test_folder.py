import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from ascl_tf.data import folder_layout, is_available, load_dataset
from ascl_tf.errors import MissingSplitError, RunError


def _write(path, *, value=0, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.full([size[1], size[0], channels], value, np.uint8)
    Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode=None).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two splits of two classes, 3 and 2 images each; all bytes of an image are equal."""
    root = tmp_path / "pets"
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for i in range(count):
                _write(root / split / name / f"{i}.png", value=100 * label + i)
    return root


def test_reads_images_with_the_label_of_their_folder(folder):
    dataset = load_dataset(f"folder:{folder}", "train")
    assert (dataset.num_classes, dataset.class_names) == (2, ("cat", "dog"))
    values = dataset.images[:, 0, 0, 0]
    assert sorted(values) == [0, 1, 2, 100, 101, 102]
    np.testing.assert_array_equal(dataset.labels, values // 100)


def test_name_holds_no_directory_of_the_machine(folder):
    assert load_dataset(f"folder:{folder}/", "test").name == "folder:pets"


def test_order_does_not_depend_on_where_the_folder_lies(folder, tmp_path):
    first = load_dataset(f"folder:{folder}", "train")
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_dataset(f"folder:{moved}", "train").sha256 == first.sha256


def test_jpeg_and_files_that_are_no_images_are_accepted(folder):
    _write(folder / "train" / "cat" / "x.JPG")
    (folder / "train" / "cat" / "notes.txt").write_text("hello")
    assert len(load_dataset(f"folder:{folder}", "train")) == 7


def test_images_of_several_sizes_are_resized_on_request(folder):
    _write(folder / "train" / "cat" / "wide.png", value=50, size=(10, 6))
    dataset = load_dataset(f"folder:{folder}", "train", image_size=5)
    assert dataset.images.shape == (7, 5, 5, 3)
    # Resizing an image of one color leaves the color.
    assert sorted(dataset.images[:, 2, 2, 1]) == [0, 1, 2, 50, 100, 101, 102]


@pytest.mark.parametrize(
    "sides, size", [((4, 50), 32), ((60, 70), 64), ((130, 300), 128), ((400, 500), 224)]
)
def test_pictures_of_several_sizes_become_as_large_as_half_of_them(tmp_path, capsys, sides, size):
    folder_layout.say.cache_clear()
    for i, side in enumerate(sides):
        _write(tmp_path / "train" / "cat" / f"{i}.png", value=i, size=(side, side + i))
        _write(tmp_path / "train" / "dog" / f"{i}.png", value=9, size=(side + 9, side))
    _write(tmp_path / "val" / "dog" / "0.png", size=(size, size))
    _write(tmp_path / "val" / "cat" / "0.png", size=(size, size))
    for split in ("train", "val"):
        assert load_dataset(f"folder:{tmp_path}", split).image_shape == (size, size, 3)
    _, line = capsys.readouterr().out.splitlines()
    assert f"resizing all to {size} x {size} (image_size={size}, resize=crop)" in line
    sides = (min(*sides, size), max(*sides, size))
    assert f"shorter sides from {sides[0]} to {sides[1]} pixels" in line


def test_pictures_that_exif_turns_are_of_several_sizes(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in folder.rglob("*.png"):
        Image.new("RGB", (40, 34)).save(path.with_suffix(".jpg"), exif=exif)
        path.unlink()
    assert load_dataset(f"folder:{folder}", "train").image_shape == (40, 34, 3)
    Image.new("RGB", (40, 34)).save(folder / "test" / "cat" / "0.jpg")
    assert load_dataset(f"folder:{folder}", "train").image_shape == (32, 32, 3)


def test_turn_that_only_decoding_finds_is_named(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in folder.rglob("*.png"):
        Image.new("RGB", (40, 34)).save(path)
    path = folder / "train" / "dog" / "x.png"
    Image.new("RGB", (40, 34)).save(path, exif=exif)
    # Behind the pixels, where a look at the head of the file does not find it.
    content = path.read_bytes()
    begin = content.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(content[begin : begin + 4], "big")
    cut = content[:begin] + content[end:]
    last = cut.rindex(b"IEND") - 4
    path.write_bytes(cut[:last] + content[begin:end] + cut[last:])
    with pytest.raises(RunError, match=r"x\.png: expected images of one size.*`image_size`"):
        load_dataset(f"folder:{folder}", "train")


@pytest.mark.parametrize("image_size", [None, 8])
def test_all_damaged_pictures_are_named_at_once(folder, image_size):
    files = sorted(folder.glob("train/*/*"))
    for file in files[1:3]:
        file.write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    with pytest.raises(RunError, match="expected pictures that can be read; found 2 that") as error:
        load_dataset(f"folder:{folder}", "train", image_size=image_size)
    assert all(str(file) in str(error.value) for file in files[1:3])
    assert "\n" not in str(error.value)


def test_damaged_picture_is_named_before_sizes_are_compared(folder):
    (folder / "test" / "cat" / "0.png").write_text("no picture")
    with pytest.raises(RunError, match=r"cat/0\.png: expected a decodable image"):
        load_dataset(f"folder:{folder}", "train")


def test_order_is_that_of_tfds_image_folder(folder):
    ours = load_dataset(f"folder:{folder}", "train")
    builder = tfds.ImageFolder(str(folder))
    theirs = list(builder.as_dataset(split="train").as_numpy_iterator())
    np.testing.assert_array_equal(ours.images, [example["image"] for example in theirs])
    np.testing.assert_array_equal(ours.labels, [example["label"] for example in theirs])


def test_what_was_converted_is_counted_in_one_line(folder, capsys):
    folder_layout.say.cache_clear()
    for name, mode in (("gray", "L"), ("clear", "RGBA"), ("dim", "L")):
        _write(folder / "train" / "cat" / f"{name}.png", value=7, mode=mode)
    assert len(load_dataset(f"folder:{folder}", "train")) == 9
    line = "notice: folder:pets, split train: converted: 2 gray, 1 with transparency\n"
    assert capsys.readouterr().out.endswith(f"\n{line}")
    load_dataset(f"folder:{folder}", "train")
    assert capsys.readouterr().out == ""


def test_truncated_image_is_named(folder):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(RunError, match=r"1\.png: expected a decodable image, found:"):
        load_dataset(f"folder:{folder}", "train")


def test_text_under_an_image_name_is_named(folder):
    (folder / "train" / "dog" / "0.jpg").write_text("no image")
    with pytest.raises(RunError, match=r"0\.jpg: expected a decodable image"):
        load_dataset(f"folder:{folder}", "train")


def test_format_that_cannot_be_read_is_named(folder):
    (folder / "train" / "dog" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(RunError, match=r"x\.heic: expected a picture that Pillow decodes"):
        load_dataset(f"folder:{folder}", "train")


def test_folders_below_a_class_belong_to_it(folder):
    _write(folder / "train" / "cat" / "more" / "still" / "x.png", value=9)
    dataset = load_dataset(f"folder:{folder}", "train")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels[dataset.images[:, 0, 0, 0] == 9].tolist() == [0]
    assert len(dataset) == 7


def test_what_systems_and_tools_leave_behind_is_left_out(folder):
    before = load_dataset(f"folder:{folder}", "train")
    for split in ("train", "test"):
        _write(folder / split / ".ipynb_checkpoints" / "0-checkpoint.png")
        _write(folder / split / "cat" / ".hidden" / "0.png")
        _write(folder / split / "__MACOSX" / "0.png")
        (folder / split / "cat" / "._0.png").write_text("resource fork")
        (folder / split / "cat" / "Thumbs.db").write_bytes(b"\x89PNG\r\n")
        (folder / split / "desktop.ini").write_text("[.ShellClassInfo]")
    for name in (".git", "__MACOSX"):
        _write(folder / name / "train" / "cat" / "0.png")
    after = load_dataset(f"folder:{folder}", "train")
    assert (after.sha256, after.class_names) == (before.sha256, before.class_names)


def test_folder_without_pictures_is_no_split(folder):
    for kind in ("x", "y"):
        (folder / "annotations" / kind).mkdir(parents=True)
        (folder / "annotations" / kind / "a.xml").write_text("<a/>")
    assert len(load_dataset(f"folder:{folder}", "train")) == 6


def test_picture_beside_class_folders_is_named(folder):
    _write(folder / "train" / "stray.png")
    message = r"stray\.png: expected pictures in class folders only, found this one beside cat \(1"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


def test_pictures_beside_split_folders_are_left_out_and_said_so(folder, capsys):
    folder_layout.say.cache_clear()
    _write(folder / "overview.png")
    assert len(load_dataset(f"folder:{folder}", "train")) == 6
    assert "folder:pets: ignoring 1 pictures beside the split folders" in capsys.readouterr().out


def test_link_to_a_folder_above_is_named(folder):
    (folder / "train" / "cat" / "loop").symlink_to(folder / "train", target_is_directory=True)
    with pytest.raises(
        RunError, match=r"loop.*: expected a folder, found a link to a folder above"
    ):
        load_dataset(f"folder:{folder}", "train")


@pytest.mark.parametrize("place", ["train/mouse", "train/cat/x.png"])
def test_link_to_nothing_is_named(folder, place):
    (folder / place).symlink_to(folder / "gone")
    with pytest.raises(RunError, match=f"{place}: expected a file or folder, found a link to noth"):
        load_dataset(f"folder:{folder}", "train")


def test_splits_and_classes_are_said(folder, capsys):
    _write(folder / "Test" / "cat" / "0.png")
    _write(folder / "Test" / "dog" / "0.png")
    load_dataset(f"folder:{folder}", "train")
    assert "folder:pets: splits Test, test, train; 2 classes: cat, dog\n" in capsys.readouterr().out


def test_linked_classes_and_files_are_read(folder, tmp_path):
    (folder / "train" / "dog").rename(tmp_path / "dogs")
    (folder / "train" / "dog").symlink_to(tmp_path / "dogs", target_is_directory=True)
    assert len(load_dataset(f"folder:{folder}", "train")) == 6


def test_names_that_are_no_utf8_are_served_and_spelled_out(folder):
    name = os.fsdecode(b"caf\xe9")
    for split in ("train", "test"):
        _write(folder / split / name / f"{name}.png", value=200)
    dataset = load_dataset(f"folder:{folder}", "train")
    assert dataset.class_names == (r"caf\xe9", "cat", "dog")
    assert dataset.labels[dataset.images[:, 0, 0, 0] == 200].tolist() == [0]
    "".join(dataset.class_names).encode("utf-8")


def test_folder_whose_name_is_no_utf8_is_served(folder, tmp_path):
    moved = folder.rename(tmp_path / os.fsdecode(b"b\xe4r"))
    assert load_dataset(f"folder:{moved}", "train").name == r"folder:b\xe4r"


@pytest.mark.parametrize("place", ["", "deeper/", "train/"])
def test_pictures_without_class_folders_are_unlabeled(tmp_path, place):
    root = tmp_path / "loose"
    for i in range(3):
        _write(root / place / f"{i}.png", value=i)
    if place != "train/":
        _write(root / place / "below" / "this" / "x.png", value=3)
    dataset = load_dataset(f"folder:{root}", "train")
    assert set(dataset.labels) == {-1} or place == "deeper/"
    assert sorted(dataset.images[:, 0, 0, 0]) == [*range(len(dataset))]
    assert len(dataset) == (3 if place == "train/" else 4)


def test_deeper_folders_without_splits_are_no_classes(tmp_path, capsys):
    for place in ("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"):
        _write(tmp_path / place / "0.png")
    dataset = load_dataset(f"folder:{tmp_path}", "train")
    assert (set(dataset.labels), dataset.class_names) == ({-1}, ())
    said = "labels: no folder in it holds a picture directly, the first one is fold1/cat/0.png\n"
    assert said in capsys.readouterr().out
    assert load_dataset(f"folder:{tmp_path}", "fold1").class_names == ("cat", "dog")


@pytest.fixture
def rides(tmp_path):
    """Three classes without splits, of 10, 20 and 1 pictures; a picture tells class and number."""
    folder_layout.say.cache_clear()
    for label, (name, count) in enumerate({"bus": 10, "car": 20, "train": 1}.items()):
        for i in range(count):
            below = "deep/er" if i % 3 == 1 else "."
            _write(tmp_path / "rides" / name / below / f"{i}.png", value=50 * label + i)
    return tmp_path / "rides"


def _values(root, split, **settings):
    dataset = load_dataset(f"folder:{root}", split, **settings)
    values = dataset.images[:, 0, 0, 0]
    np.testing.assert_array_equal(dataset.labels, values // 50)
    assert dataset.class_names == ("bus", "car", "train")
    return set(values.tolist())


def test_class_folders_without_splits_are_cut_by_class_and_seed(rides, capsys):
    train, test = _values(rides, "train"), _values(rides, "test")
    assert not train & test and len(train | test) == 31
    # A fifth of each class, and the only picture of one is trained on.
    assert sorted(value // 50 for value in test) == [0] * 2 + [1] * 4
    assert capsys.readouterr().out == (
        "notice: folder:rides: no split folders; 6 of 31 pictures, class-balanced, form the split "
        "test (test_fraction=0.2, split_seed=0), the rest train; 3 classes: bus, car, train\n"
    )
    assert _values(rides, "test") == test
    others = [_values(rides, "test", split_seed=seed) for seed in (1, 2)]
    assert test != others[0] != others[1]


@pytest.mark.parametrize("fraction, count", [(0.5, 15), (0.1, 3), (0.01, 2)])
def test_test_fraction_says_how_many_are_tested_on(rides, fraction, count):
    test = _values(rides, "test", test_fraction=fraction)
    assert len(test) == count and {value // 50 for value in test} == {0, 1}


def test_moved_folder_is_cut_alike(rides, tmp_path):
    before = _values(rides, "test")
    assert _values(rides.rename(tmp_path / "elsewhere"), "test") == before


def test_without_a_test_fraction_all_are_trained_on(rides, capsys):
    assert len(_values(rides, "train", test_fraction=0.0)) == 31
    assert "all 31 pictures form the split train; 3 classes" in capsys.readouterr().out
    with pytest.raises(MissingSplitError) as caught:
        load_dataset(f"folder:{rides}", "test", test_fraction=0.0)
    assert caught.value.splits == ("train",)


def test_share_that_leaves_a_class_nothing_to_train_on_is_refused(tmp_path):
    for name in ("cat", "dog"):
        for i in range(2):
            _write(tmp_path / name / f"{i}.png")
    message = r"`test_fraction=0.9`: expected a share of folder:\w+ that .* none of class 'cat'"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{tmp_path}", "train", test_fraction=0.9)


def test_classes_of_one_picture_each_cannot_be_tested(tmp_path):
    for name in ("cat", "dog"):
        _write(tmp_path / name / "0.png")
    with pytest.raises(RunError, match="two pictures of a class .* found none to test on"):
        load_dataset(f"folder:{tmp_path}", "train")
    assert len(load_dataset(f"folder:{tmp_path}", "train", test_fraction=0.0)) == 2


def test_many_classes_are_named_in_part(tmp_path, capsys):
    folder_layout.say.cache_clear()
    for number in range(13):
        _write(tmp_path / f"c{number:02}" / "0.png")
        _write(tmp_path / f"c{number:02}" / "1.png")
    load_dataset(f"folder:{tmp_path}", "train")
    assert "13 classes: c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 3 more" in (
        capsys.readouterr().out
    )


def test_one_picture_beside_the_folders_is_why_there_are_no_labels(rides, capsys):
    _write(rides / "overview.png")
    assert set(load_dataset(f"folder:{rides}", "train").labels) == {-1}
    assert "without labels: overview.png is beside the folders" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"resize": "squeeze"}, "`resize` must be one of stretch, crop, pad; received 'squeeze'"),
        ({"test_fraction": 1.0}, r"`test_fraction` must be in \[0, 1\); received 1.0"),
        ({"split_seed": -1}, "`split_seed` must be >= 0; received -1"),
    ],
)
def test_choices_out_of_range_are_refused(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        load_dataset(f"folder:{folder}", "train", **settings)


@pytest.mark.parametrize("name", ["unlabeled", "unlabelled"])
def test_unlabeled_split_beside_labeled_ones(folder, name):
    _write(folder / name / "x.png", value=5)
    _write(folder / name / "deep" / "y.png", value=6)
    dataset = load_dataset(f"folder:{folder}", name)
    assert dataset.labels.tolist() == [-1, -1]
    assert load_dataset(f"folder:{folder}", "train").num_classes == 2


def test_test_split_without_class_folders_does_not_keep_from_training(folder):
    for path in (folder / "test").rglob("*.png"):
        path.rename(folder / "test" / f"{path.parent.name}{path.name}")
    for name in ("cat", "dog"):
        (folder / "test" / name).rmdir()
    assert load_dataset(f"folder:{folder}", "train").num_labeled == 6
    assert load_dataset(f"folder:{folder}", "test").num_labeled == 0


def test_missing_split_names_those_there(folder):
    message = r"expected one of the splits \['test', 'train'\]; found 'validation'"
    with pytest.raises(MissingSplitError, match=message) as caught:
        load_dataset(f"folder:{folder}", "validation")
    assert caught.value.splits == ("test", "train")


def test_missing_folder_is_named(tmp_path):
    name = f"folder:{tmp_path / 'nowhere'}"
    assert not is_available(name)
    with pytest.raises(RunError, match="nowhere: expected a readable folder, found: No such file"):
        load_dataset(name, "train")


def test_folder_at_hand_is_available(folder):
    assert is_available(f"folder:{folder}")


def test_folder_without_splits_is_refused(tmp_path):
    with pytest.raises(RunError, match="expected pictures, or folders of them; found none"):
        load_dataset(f"folder:{tmp_path}", "train")


def test_single_class_is_one_class(tmp_path):
    _write(tmp_path / "train" / "cat" / "0.png")
    dataset = load_dataset(f"folder:{tmp_path}", "train")
    assert (dataset.labels.tolist(), dataset.class_names) == ([0], ("cat",))


def test_classes_that_differ_between_splits_are_named(folder):
    _write(folder / "train" / "mouse" / "0.png")
    message = r"same classes in every split, found \['mouse'\] in only one of 'test' and 'train'"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


def test_class_without_images_is_named(folder):
    for path in (folder / "train" / "dog").iterdir():
        path.unlink()
    with pytest.raises(RunError, match="dog: expected at least one picture, found none"):
        load_dataset(f"folder:{folder}", "train")


def test_empty_path_is_refused():
    with pytest.raises(RunError, match="`name=folder:`: expected folder:/path; found no path"):
        load_dataset("folder:", "train")
