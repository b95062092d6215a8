import numpy as np
import pytest
from PIL import Image

from ascl_tf.data import is_available, load_dataset
from ascl_tf.data.folder import check_image_folder
from ascl_tf.errors import RunError


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
    # Resizing an image of one colour leaves the colour.
    assert sorted(dataset.images[:, 2, 2, 1]) == [0, 1, 2, 50, 100, 101, 102]


def test_images_of_several_sizes_are_refused_without_image_size(folder):
    _write(folder / "train" / "dog" / "wide.png", size=(10, 6))
    message = r"wide.png: expected images of one size, found 10x6 here and 4x4.*--image_size"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA"])
def test_images_that_are_not_rgb_are_named_not_converted(folder, mode):
    _write(folder / "train" / "cat" / "odd.png", mode=mode)
    message = rf"odd.png: expected an image stored as RGB, found mode {mode}\."
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


def test_transparent_rgb_image_is_refused(folder):
    image = Image.new("RGB", (4, 4))
    image.save(folder / "train" / "cat" / "clear.png", transparency=(0, 0, 0))
    with pytest.raises(RunError, match="clear.png.*found mode RGB with transparency"):
        load_dataset(f"folder:{folder}", "train")


def test_truncated_image_is_named(folder):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(RunError, match=r"1\.png: expected a decodable image, found:"):
        load_dataset(f"folder:{folder}", "train")


def test_text_under_an_image_name_is_named(folder):
    (folder / "train" / "dog" / "0.jpg").write_text("no image")
    with pytest.raises(RunError, match=r"0\.jpg: expected a decodable image"):
        load_dataset(f"folder:{folder}", "train")


def test_image_format_that_would_be_skipped_is_named(folder):
    _write(folder / "train" / "dog" / "x.bmp")
    message = r"x\.bmp: expected PNG or JPEG files, found another format \(1 such"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


def test_checking_all_splits_finds_faults_of_any(folder):
    (folder / "test" / "dog" / "0.png").write_text("no image")
    check_image_folder(folder, split="train")
    with pytest.raises(RunError, match="expected a decodable image"):
        check_image_folder(folder)


def test_missing_split_names_those_there(folder):
    message = r"expected one of the splits \['test', 'train'\], found 'validation'"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "validation")


def test_missing_folder_is_named(tmp_path):
    name = f"folder:{tmp_path / 'nowhere'}"
    assert not is_available(name)
    with pytest.raises(RunError, match="nowhere: expected a readable folder, found: No such file"):
        load_dataset(name, "train")


def test_folder_at_hand_is_available(folder):
    assert is_available(f"folder:{folder}")


def test_folder_without_splits_is_refused(tmp_path):
    with pytest.raises(RunError, match="expected split folders such as train/, found none"):
        load_dataset(f"folder:{tmp_path}", "train")


def test_single_class_is_refused(tmp_path):
    _write(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(RunError, match=r"at least two class folders, found \['cat'\]"):
        load_dataset(f"folder:{tmp_path}", "train")


def test_classes_that_differ_between_splits_are_named(folder):
    _write(folder / "train" / "mouse" / "0.png")
    message = r"same classes in every split, found \['mouse'\] in only one of 'test' and 'train'"
    with pytest.raises(RunError, match=message):
        load_dataset(f"folder:{folder}", "train")


def test_class_without_images_is_named(folder):
    for path in (folder / "train" / "dog").iterdir():
        path.unlink()
    with pytest.raises(RunError, match="dog: expected at least one PNG or JPEG file, found none"):
        load_dataset(f"folder:{folder}", "train")


def test_empty_path_is_refused():
    with pytest.raises(RunError, match="--dataset=folder:: expected folder:/path, found no path"):
        load_dataset("folder:", "train")
