"""labels.csv beside the pictures: which file is of which class and split."""

import numpy as np
import pytest
from PIL import Image

from ascl_tf.data import folder_layout, load_dataset
from ascl_tf.errors import MissingSplitError, RunError

NAMES = ["a.png", "below/b.png", "c, d.png", 'e"f.png', "ünï %#.png", "g.png"]


@pytest.fixture
def folder(tmp_path):
    """Six pictures of which each tells its place in `NAMES`."""
    folder_layout.say.cache_clear()
    root = tmp_path / "shelf"
    (root / "below").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        Image.new("RGB", (8, 8), (i, i, i)).save(root / name)
    return root


def _write(folder, text, encoding="utf-8"):
    (folder / "labels.csv").write_bytes(text.encode(encoding))


def _rows(folder, split, **settings):
    """Returns {place in NAMES: class name} of a split."""
    dataset = load_dataset(f"folder:{folder}", split, **settings)
    places = dataset.images[:, 0, 0, 0].tolist()
    return {p: dataset.class_names[c] for p, c in zip(places, dataset.labels, strict=True)}


TABLE = (
    'file,label,split\na.png,cup,train\nbelow/b.png,plate,train\n"c, d.png",cup,test\n\n'
    '"e""f.png",plate,test\nünï %#.png,cup,val\ng.png,plate,val\n'
)


def test_files_have_the_class_and_split_of_their_line(folder):
    _write(folder, TABLE)
    assert _rows(folder, "train") == {0: "cup", 1: "plate"}
    assert _rows(folder, "test") == {2: "cup", 3: "plate"}
    assert _rows(folder, "val") == {4: "cup", 5: "plate"}
    with pytest.raises(MissingSplitError) as caught:
        load_dataset(f"folder:{folder}", "dev")
    assert caught.value.splits == ("test", "train", "val")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("below/b.png", "below\\b.png"),
        lambda text: text.replace("a.png", "./below/../a.png"),
        lambda text: text.replace("file,label,split", " Label ,FILE, split").replace(
            "a.png,cup", "cup,a.png"
        ),
    ],
    ids=["line ends of Windows", "separators of Windows", "a way around", "order"],
)
def test_tables_of_other_programs_are_read(folder, change):
    _write(folder, "file,label,split\na.png,cup,train\nbelow/b.png,cup,train\n")
    if "Label" in change("file,label,split"):
        _write(folder, change("file,label,split\na.png,cup,train\n"))
        assert _rows(folder, "train") == {0: "cup"}
        return
    _write(folder, change("file,label,split\na.png,cup,train\nbelow/b.png,cup,train\n"))
    assert _rows(folder, "train") == {0: "cup", 1: "cup"}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_byte_order_mark_and_other_separators(folder, separator):
    lines = ["file,label,note,split", "a.png,tasse,x,train", "g.png,teller,,train"]
    _write(folder, "\n".join(lines).replace(",", separator), "utf-8-sig")
    assert _rows(folder, "train") == {0: "tasse", 5: "teller"}


def test_labels_that_are_numbers_are_ordered_by_value(folder):
    _write(folder, "file,label,split\na.png,10,train\ng.png,9,train\n")
    assert load_dataset(f"folder:{folder}", "train").class_names == ("9", "10")


def test_without_a_column_of_splits_test_pictures_are_cut_off(folder, capsys):
    names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in NAMES]
    lines = [f"{name},{'cup' if i < 4 else 'plate'}" for i, name in enumerate(names)]
    _write(folder, "\n".join(["file,label", *lines]))
    train, test = _rows(folder, "train"), _rows(folder, "test")
    assert sorted(test.values()) == ["cup", "plate"]
    assert sorted({**train, **test}) == [0, 1, 2, 3, 4, 5] and len(train) == 4
    assert "no splits in labels.csv; 2 of 6 pictures" in capsys.readouterr().out
    assert len(_rows(folder, "train", test_fraction=0.0)) == 6


def test_how_many_pictures_each_split_has_is_said(folder, capsys):
    # A split that is misspelled would leave pictures out in silence.
    _write(folder, TABLE.replace("g.png,plate,val\n", "g.png,plate,vla\n"))
    _rows(folder, "train")
    said = capsys.readouterr().out
    assert "vla (1 pictures); 2 classes: cup, plate\n" in said and "train (" in said


def test_pictures_that_are_not_listed_are_counted(folder, capsys):
    _write(folder, TABLE.replace("g.png,plate,val\n", ""))
    _rows(folder, "train")
    assert "ignoring 1 pictures that labels.csv does not list, such as" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "line 1: expected the columns file and label, and maybe split; found nothing"),
        ("id,breed\na,b", "line 1: expected the columns file and label.*; found id, breed"),
        ("file,label\n", "expected at least one file and its label; found none"),
        (
            "file,label\na.png,cup\nnone.png,cup",
            "line 3: expected a file in the folder .*'none.png', which",
        ),
        ("file,label\n../a.png,cup", "line 2: expected a file in the folder of labels.csv"),
        ("file,label\n/etc/passwd,cup", "line 2: expected a file in the folder of labels.csv"),
        (
            "file,label\na.png,cup\ng.png,cup\n./a.png,plate",
            "line 4: expected a file that is not listed yet; found './a.png', .* line 2 too",
        ),
        ("file,label\na.png", "line 2: expected a label; found none"),
        ("file,label,split\na.png,cup,", "line 2: expected a split; found none"),
        ('file,label\n"a.png,cup', "expected comma-separated values in UTF-8; found: unexpected"),
        (
            "file,label,split\na.png,cup,train\ng.png,plate,test",
            "line 3: expected a label that files of the split train have too; found 'plate'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_line(folder, text, message):
    _write(folder, text)
    with pytest.raises(RunError, match=rf"labels\.csv[,:] ?{message}"):
        load_dataset(f"folder:{folder}", "train")


def test_another_encoding_is_named(folder):
    _write(folder, "file,label\nünï %#.png,cup", "latin-1")
    with pytest.raises(RunError, match=r"labels.csv: expected comma-separated values in UTF-8"):
        load_dataset(f"folder:{folder}", "train")


def test_file_that_is_no_picture_is_named(folder):
    (folder / "a.png").write_text("text")
    _write(folder, TABLE)
    with pytest.raises(RunError, match=r"a\.png: expected a decodable image"):
        load_dataset(f"folder:{folder}", "train")


def test_folder_of_an_order_of_its_own_is_the_same_wherever_it_lies(folder, tmp_path):
    _write(folder, TABLE)
    first = load_dataset(f"folder:{folder}", "train")
    moved = load_dataset(f"folder:{folder.rename(tmp_path / 'moved')}", "train")
    assert first.sha256 == moved.sha256
    np.testing.assert_array_equal(first.images, moved.images)
