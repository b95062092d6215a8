"""Record files: whole or not at all, equal bytes for equal records, clear errors."""

import errno
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from ascl_tf import __version__
from ascl_tf.errors import RunError
from ascl_tf.evaluation.records import (
    KeptRecords,
    checkout_commit,
    environment_versions,
    model_sha256,
    read_records,
    weights_sha256,
    write_records,
)
from tests.evaluation import models


def _record(**changes):
    record = {
        "protocol": "pgd20",
        "standard_accuracy": 40.5,
        "robust_accuracy": 20.1,
        "num_images": 1000,
        "epsilon": "8/255",
        "seed": 0,
        "model_sha256": "ab",
        "wall_seconds": 1.5,
        "versions": environment_versions(),
        "checks": [],
    }
    return record | changes


def test_records_come_back_as_written(tmp_path):
    records = [_record(), _record(protocol="fgsm")]
    write_records(tmp_path / "new folder" / "å.json", records)
    assert read_records(tmp_path / "new folder" / "å.json") == records
    assert os.listdir(tmp_path / "new folder") == ["å.json"]


def test_equal_records_give_equal_bytes_whatever_their_order_of_keys(tmp_path):
    write_records(tmp_path / "a.json", [_record()])
    write_records(tmp_path / "b.json", [dict(reversed(_record().items()))])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_records(path, [_record()])

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=r"a\.json: expected a writable file; no space left"):
        write_records(path, [_record(seed=1)])
    assert read_records(path)[0]["seed"] == 0
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), object()])
def test_what_json_cannot_hold_is_refused_before_writing(value, tmp_path):
    with pytest.raises(RunError, match=r"a\.json: records must be finite numbers"):
        write_records(tmp_path / "a.json", [_record(extra=value)])
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"expected JSON"),
        ("\x00\xff", r"expected JSON"),
        ('{"records": [NaN]}', r"expected JSON.*NaN"),
        ("[" * 100_000, r"expected JSON"),
        ("[]", r'expected an object with a list "records"'),
        ('{"records": {}}', r'expected an object with a list "records"'),
        ('{"records": [3]}', r"record 0: expected an object; found int"),
        ('{"records": [{}]}', r"record 0: expected the field `protocol`; found none"),
    ],
)
def test_malformed_file_is_named_with_what_was_expected(text, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"a\.json: " + message):
        read_records(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robust_accuracy": 100.1}, r"`robust_accuracy` in percent, 0 to 100; found 100\.1"),
        ({"standard_accuracy": "80"}, r"`standard_accuracy` in percent.*found '80'"),
        ({"standard_accuracy": True}, r"`standard_accuracy` in percent.*found True"),
        ({"num_images": 0}, r"`num_images` >= 1; found 0"),
        ({"num_images": 2.0}, r"`num_images` >= 1; found 2\.0"),
        ({"protocol": None}, r"`protocol` to be a name; found None"),
    ],
)
def test_field_that_cannot_be_is_named(change, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"records": [_record(), _record(**change)]}))
    with pytest.raises(RunError, match=r"a\.json: record 1: expected " + message):
        read_records(path)


def test_absent_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"none\.json: expected a record file; no such file"):
        read_records(tmp_path / "none.json")


def test_versions_name_what_shapes_a_number():
    versions = environment_versions()
    names = {"python", "tensorflow", "keras", "numpy", "cleverhans", "ascl_tf"}
    assert set(versions) - {"commit"} == names
    assert versions["ascl_tf"] == __version__
    assert versions["cleverhans"].startswith("4.0")


def _git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_checkout_is_named_by_its_commit_and_by_what_differs_from_it(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    assert checkout_commit.__wrapped__(package) == ""
    _git(tmp_path, "init", "-q")
    assert checkout_commit.__wrapped__(package) == ""
    (package / "a.py").write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "m")
    commit = _git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "notes").write_text("beside the package")
    assert checkout_commit.__wrapped__(package) == commit
    (package / "a.py").write_text("2")
    assert checkout_commit.__wrapped__(package) == f"{commit}-dirty"
    (package / "a.py").write_text("1")
    (package / "b.py").write_text("new")
    assert checkout_commit.__wrapped__(package) == f"{commit}-dirty"


def _folder(root):
    (root / "variables").mkdir(parents=True)
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "variables" / "data").write_bytes(b"weights")
    return root


def test_hash_of_a_folder_moves_with_it_and_sees_every_byte_and_name(tmp_path):
    first = _folder(tmp_path / "a")
    expected = model_sha256(first)
    assert len(expected) == 64
    assert model_sha256(shutil.copytree(first, tmp_path / "elsewhere" / "b")) == expected
    (first / "variables" / "data").write_bytes(b"weightz")
    changed = model_sha256(first)
    (first / "variables" / "data").rename(first / "variables" / "date")
    assert len({expected, changed, model_sha256(first)}) == 3


def test_hash_of_a_file_is_that_of_its_content(tmp_path):
    (tmp_path / "empty.keras").write_bytes(b"")
    # The well-known SHA-256 of nothing.
    assert model_sha256(tmp_path / "empty.keras").startswith("e3b0c44298fc1c149afbf4c8996fb924")


def test_hash_of_nothing_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"absent: expected a model file or a SavedModel folder"):
        model_sha256(tmp_path / "absent")


def test_hash_of_weights_depends_on_values_alone():
    model, twin = models.tiny_network(seed=0), models.tiny_network(seed=0)
    assert weights_sha256(model) == weights_sha256(twin)
    bias = twin.weights[-1]
    bias.assign(bias + 1e-6)
    assert weights_sha256(model) != weights_sha256(twin)


def test_finished_records_are_on_disk_before_the_next_part(tmp_path, monkeypatch):
    path = tmp_path / "records.json"
    kept = KeptRecords(path, lambda found: [{**r, "count": len(found)} for r in found])
    first = kept.part(stage="a")
    first([_record(seed=1)])
    first([_record(seed=1), _record(seed=2)])
    assert [r["seed"] for r in read_records(path)] == [1, 2]
    second = kept.part(stage="b")
    assert len(read_records(path)) == 2
    second([_record(seed=3)])
    found = read_records(path)
    assert found == kept.records()
    assert [(r["seed"], r["stage"], r["count"]) for r in found] == [
        (1, "a", 3),
        (2, "a", 3),
        (3, "b", 3),
    ]
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match="records.json: expected a writable file; no space left"):
        second([_record(seed=3), _record(seed=4)])
    assert path.read_bytes() == before and len(kept.records()) == 4


def test_records_of_other_protocols_stay_and_the_notice_says_what_does_not(tmp_path):
    path = tmp_path / "records.json"
    earlier = [
        _record(protocol="autoattack", part="a", model_sha256="1"),
        _record(protocol="fgsm", part="b", model_sha256="2"),
        _record(protocol="pgd20", part="c", model_sha256="1"),
        _record(protocol="pgd10", part="d", model_sha256="1", seed=9),
        _record(protocol="pgd100", part="e", model_sha256="1", data_sha256="other"),
        _record(protocol="pgd5", part="f", model_sha256="1", target="x", source="y"),
    ]
    write_records(path, earlier)
    kept = KeptRecords(path)
    first, second = kept.part(), kept.part()
    new = [_record(protocol="pgd20", model_sha256=name) for name in "12"]
    first(new[:1])
    # The second model is not known yet: nothing that may be of it is dropped.
    assert [r.get("part") for r in read_records(path)] == [*"abdef", None]
    second(new[1:])
    assert read_records(path) == [*earlier[:2], *new] and kept.records() == new
    assert kept.notice() == (
        f"notice: {path}: earlier records kept: autoattack, fgsm; replaced: pgd20; "
        "dropped (another model, other images or another seed): pgd10, pgd100, pgd5"
    )


def test_corruptions_stay_beside_what_is_measured_of_the_same_model(tmp_path):
    path = tmp_path / "records.json"
    corrupted = _record(protocol="corruptions", source="generated")
    write_records(path, [corrupted])
    kept = KeptRecords(path)
    kept.check_subjects([_record()])
    kept.part()([_record(protocol="standard")])
    assert [r["protocol"] for r in read_records(path)] == ["corruptions", "standard"]


def test_a_matrix_of_another_attack_is_not_mixed_with_an_earlier_one(tmp_path):
    path, pair = tmp_path / "records.json", {"target": "x", "source": "y"}
    write_records(path, [_record(protocol="fgsm", **pair), _record(protocol="standard")])
    KeptRecords(path).part()([_record(protocol="pgd20", **pair)])
    assert [record["protocol"] for record in read_records(path)] == ["pgd20"]


def test_without_a_file_records_are_only_kept():
    kept = KeptRecords(None)
    kept.part()([_record()])
    assert kept.records() == [_record()]
