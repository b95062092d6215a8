"""Whatever bytes a record, state or settings file holds: a valid result or a RunError."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ascl_tf.attacks.autoattack_state import StateFile
from ascl_tf.config import Config, config_from_json, setting_fields
from ascl_tf.errors import RunError
from ascl_tf.evaluation.corruption_sources import CorruptionFolder
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.evaluation.records import REQUIRED_FIELDS, read_records, write_records
from ascl_tf.training.workdir import recorded_config
from tests.properties.values import CHECK

FUZZ = settings(
    CHECK,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_KEYS = st.sampled_from(
    ["records", "identity", "logits", "progress", "sha256", "settings", "stages", "width", "seed"]
)
ANY_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_KEYS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
# Positions and masks of flipped bytes, and where the file ends, as shares of its length.
DAMAGE = st.tuples(
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4), st.floats(0, 1)
)


def _damaged(content, damage):
    flips, share = damage
    content = bytearray(content)
    for place, mask in flips:
        content[int(place * len(content))] ^= mask
    return bytes(content[: round(share * len(content))])


def _record():
    protocol = get_protocol("pgd20")
    return {
        "protocol": protocol.name,
        "attack": protocol.settings(),
        "standard_accuracy": 40.5,
        "robust_accuracy": 20.1,
        "num_images": 1000,
        "epsilon": "8/255",
        "seed": 0,
        "model_sha256": "ab",
        "wall_seconds": 1.5,
        "versions": {"python": "3"},
    }


def _read_records(path):
    for record in read_records(path):
        assert set(REQUIRED_FIELDS) <= set(record)
        assert 0 <= record["robust_accuracy"] <= 100 and record["num_images"] >= 1


IDENTITY = {"epsilon": 0.03, "seed": 1, "num_images": 3}
LOGITS = np.arange(6.0).reshape(3, 2)


def _state_file(path):
    return StateFile(path, identity=IDENTITY, logits=LOGITS)


PROGRESS = {"attack": 1, "robust": "101", "saved_images": ["000000.npz"], "seconds": {"a": 0.1}}


def _read_state(path):
    assert _state_file(path).load() == PROGRESS


def _read_config(path):
    assert isinstance(recorded_config(path.parent), Config | None)


@pytest.fixture
def files(tmp_path):
    """One whole file of each kind, and the function that reads it."""
    write_records(tmp_path / "records.json", [_record(), _record()])
    _state_file(tmp_path / "run.state").save(PROGRESS)
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": Config().to_json(), "stages": {"pretrain": {"width": 3}}})
    )
    return {
        tmp_path / "records.json": _read_records,
        tmp_path / "run.state": _read_state,
        tmp_path / "config.json": _read_config,
    }


def _read(path, read):
    """Reads; anything but a RunError of one line that names the file fails."""
    try:
        read(path)
    except RunError as error:
        assert "\n" not in str(error) and path.name in str(error)
        return False
    return True


def test_whole_files_are_read(files):
    assert all(_read(path, read) for path, read in files.items())


@FUZZ
@given(damage=DAMAGE)
def test_truncated_and_flipped_files_are_read_or_refused(files, damage):
    for path, read in files.items():
        whole = path.read_bytes()
        path.write_bytes(_damaged(whole, damage))
        try:
            _read(path, read)
        finally:
            path.write_bytes(whole)


@FUZZ
@given(document=ANY_JSON)
def test_random_json_is_read_or_refused(files, document):
    for path, read in files.items():
        whole = path.read_bytes()
        path.write_text(json.dumps(document))
        try:
            _read(path, read)
        finally:
            path.write_bytes(whole)


@FUZZ
@given(content=st.binary(max_size=60))
def test_random_bytes_are_refused(files, content):
    for path in files:
        path.write_bytes(content)
    for path, read in files.items():
        _read(path, read)


@FUZZ
@given(field=st.sampled_from(sorted(_record())), value=ANY_JSON)
def test_record_with_any_one_value_is_read_or_refused(tmp_path, field, value):
    path = tmp_path / "records.json"
    path.write_text(json.dumps({"records": [_record() | {field: value}]}))
    _read(path, _read_records)


@FUZZ
@given(name=st.sampled_from(sorted(setting_fields())), value=ANY_JSON)
def test_config_with_any_one_value_is_read_or_refused(name, value):
    try:
        config = config_from_json(json.dumps({name: value}), "config.json")
    except RunError as error:
        assert str(error).startswith("config.json: ") and "\n" not in str(error)
    else:
        # What was accepted comes back as it is.
        assert config_from_json(json.dumps(config.to_json()), "again") == config


def test_every_flipped_bit_of_a_state_is_seen(tmp_path):
    path = tmp_path / "run.state"
    _state_file(path).save(PROGRESS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(_damaged(whole, ([(place / len(whole) + 1e-9, 1)], 1.0)))
        # Only spaces between values may change unnoticed, and then nothing else has.
        with pytest.raises(RunError):
            _state_file(path).load()


@FUZZ
@given(damage=DAMAGE)
def test_damaged_images_of_a_state_are_read_or_refused(tmp_path, damage):
    state = _state_file(tmp_path / "run.state")
    images = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 2, 2, 3)
    (tmp_path / "run.state.images").mkdir(exist_ok=True)
    saved = state.save_images(0, np.array([0, 2]), images)
    path = tmp_path / "run.state.images" / saved[0]
    path.write_bytes(_damaged(path.read_bytes(), damage))
    into = np.zeros((3, 2, 2, 3), np.float32)
    if _read(path, lambda _: state.load_images([saved], into)):
        np.testing.assert_array_equal(into[[0, 2]], images)


@FUZZ
@given(damage=DAMAGE)
def test_damaged_arrays_of_labels_are_read_or_refused(tmp_path, damage):
    path = tmp_path / "labels.npy"
    np.save(path, np.tile(np.arange(3), 5))
    path.write_bytes(_damaged(path.read_bytes(), damage))
    _read(path, lambda _: CorruptionFolder(tmp_path))
