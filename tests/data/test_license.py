"""Under which license data lie, of a folder and of a prepared set."""

from ascl_tf.data.license import license_of


def test_folder_says_it_in_a_file(tmp_path):
    name = f"folder:{tmp_path}"
    assert license_of(name) == "not stated: no file LICENSE in the folder"
    (tmp_path / "license.txt").write_text("\n  CC BY 4.0  \nmore", encoding="utf-8")
    assert license_of(name) == "CC BY 4.0"
    assert license_of(f"{name}/gone").startswith("not stated")


def test_set_that_is_not_at_hand_says_nothing(tmp_path):
    assert license_of("cifar100", str(tmp_path)) == "not stated by tensorflow-datasets"
