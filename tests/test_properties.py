"""Whatever value an argument has: it is taken, or refused by a ValueError that names it."""

import json
import math

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascl_tf import config as cfg
from ascl_tf import flag_defs
from ascl_tf.attacks import AutoAttack, linf_pgd
from ascl_tf.cluster import check_single_process
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.splits import class_balanced_subset, mask_labels, validation_split
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation.inputs import as_evaluation_data
from ascl_tf.evaluation.model_ensemble import member_paths
from ascl_tf.evaluation.named_models import named_paths
from ascl_tf.evaluation.overlap import count_seen
from ascl_tf.evaluation.program_settings import EvaluateConfig
from ascl_tf.evaluation.protocols import Protocol
from ascl_tf.losses.inputs import check_beta, check_temperature
from ascl_tf.settings import Fraction

CHECK = settings(max_examples=60, derandomize=True, deadline=None, database=None)
_NAMES = sorted(cfg.Config.__dataclass_fields__)
TEXT = st.text(max_size=8) | st.sampled_from(["8/255", "1e999", "-1", "0", "nan", "1/0", "true"])
NUMBERS = st.floats() | st.integers() | st.sampled_from([0, 1, -1, 8, 8 / 255, math.nan])


def _names_flag(error):
    assert str(error).startswith("--") or "expected" in str(error), error
    assert "\n" not in str(error)


@CHECK
@given(name=st.sampled_from(_NAMES), text=TEXT)
def test_any_text_behind_a_flag_is_a_value_or_a_config_error(name, text):
    values = flag_defs.define_flags(*cfg.SECTIONS)
    try:
        config = cfg.Config(**flag_defs.parse(values, ["train", f"--{name}={text}"]))
    except ConfigError as error:
        _names_flag(error)
    else:
        again = cfg.config_from_json(json.dumps(config.to_json()), "config.json")
        assert again == config


@CHECK
@given(arguments=st.lists(TEXT | st.sampled_from(["--", "-", "--epochs", "--no", "="]), max_size=4))
def test_any_command_line_is_parsed_or_a_config_error(arguments):
    values = flag_defs.define_flags(*cfg.SECTIONS)
    try:
        flag_defs.parse(values, ["train", *arguments])
    except ConfigError as error:
        assert str(error)


@CHECK
@given(text=TEXT | st.from_regex(r"[0-9.eE+-]{1,6}(/[0-9.eE+-]{1,6})?", fullmatch=True))
def test_a_fraction_is_finite_and_keeps_its_text(text):
    try:
        fraction = Fraction(text)
    except ValueError as error:
        assert "expected a" in str(error)
    else:
        assert math.isfinite(fraction) and fraction.text == text.strip()
        assert Fraction(fraction.text) == fraction


@CHECK
@given(names=st.dictionaries(st.sampled_from(["protocol", "sources", "targets", "model"]), TEXT))
def test_any_names_of_models_and_protocols_make_a_config_or_a_config_error(names):
    try:
        EvaluateConfig(**names)
    except ConfigError as error:
        _names_flag(error)


@CHECK
@given(text=st.text(alphabet="ab=,/ ", max_size=12))
def test_named_paths_are_pairs_or_a_config_error(text):
    try:
        found = named_paths(text, "targets")
    except ConfigError as error:
        _names_flag(error)
    else:
        assert all(label and path for label, path in found.items())
    assert all(path.strip() == path and path for path in member_paths(text))


@CHECK
@given(text=TEXT | st.recursive(TEXT, lambda x: st.lists(x) | st.dictionaries(TEXT, x)))
def test_any_cluster_is_one_process_or_a_config_error(text):
    text = text if isinstance(text, str) else json.dumps({"cluster": text, "task": text})
    try:
        check_single_process({"TF_CONFIG": text})
    except ConfigError as error:
        assert str(error).startswith("TF_CONFIG: ")


@CHECK
@given(epsilon=NUMBERS | TEXT, step_size=NUMBERS, num_steps=st.integers(), restarts=st.integers())
def test_protocol_is_in_range_or_refused_by_name(epsilon, step_size, num_steps, restarts):
    try:
        protocol = Protocol(
            name="p",
            kind="linf_pgd",
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
            num_restarts=restarts,
        )
    except ValueError as error:
        assert str(error).startswith("`")
    else:
        assert 0 <= float(protocol.epsilon) <= 1 and 0 <= float(protocol.step_size) <= 1
        assert json.dumps(protocol.settings(), allow_nan=False)


_DTYPES = st.sampled_from([np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64, bool])


@CHECK
@given(
    shape=st.lists(st.integers(0, 3), max_size=5),
    dtype=_DTYPES,
    value=st.sampled_from([0, 1, 0.5, -1, 2, 255, math.nan, math.inf]),
    label_shape=st.lists(st.integers(0, 3), max_size=2),
    label_dtype=_DTYPES,
    label=st.sampled_from([0, 1, -1]),
    num_images=st.none() | st.integers(-1, 4),
)
def test_evaluation_takes_arrays_or_names_what_is_wrong(
    shape, dtype, value, label_shape, label_dtype, label, num_images
):
    with np.errstate(all="ignore"):
        images = np.full(shape, value).astype(dtype)
        labels = np.full(label_shape, label).astype(label_dtype)
    try:
        data = as_evaluation_data((images, labels), num_images=num_images)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "labels", "num_images")
    else:
        floats, chosen = data.rows(slice(None))
        assert floats.dtype == np.float32 and 0 <= floats.min() <= floats.max() <= 1
        assert len(floats) == len(chosen) > 0 and chosen.dtype == np.int32 and chosen.min() >= 0


@CHECK
@given(
    dtype=_DTYPES,
    shape=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    labels=st.lists(st.integers(-3, 3), max_size=3),
    num_classes=st.integers(0, 3),
)
def test_data_set_is_whole_or_refused_by_name(dtype, shape, labels, num_classes):
    images, ids = np.zeros(shape, dtype), np.array(labels, np.int32)
    names = tuple("abc"[:num_classes])
    try:
        dataset = ImageDataset("d", images, ids, num_classes, names)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "labels", "class_names")
    else:
        assert len(dataset) == len(labels) and len(dataset.sha256) == 64
        assert count_seen(dataset.images, dataset.images) == len(dataset)


_DATA = ImageDataset(
    "d", np.zeros((12, 2, 2, 3), np.uint8), np.arange(12, dtype=np.int32) % 3, 3, ("a", "b", "c")
)


@CHECK
@given(share=st.floats(), count=st.integers(-2, 20), seed=st.integers(0, 9))
def test_cuts_keep_every_class_or_say_that_they_cannot(share, count, seed):
    for cut in (
        lambda: validation_split(_DATA, share, seed)[0],
        lambda: mask_labels(_DATA, share, seed),
        lambda: class_balanced_subset(_DATA, count, seed),
    ):
        try:
            taken = cut()
        except (ValueError, RunError) as error:
            assert "\n" not in str(error)
        else:
            assert 0 < len(taken) <= len(_DATA)


@CHECK
@given(value=NUMBERS | st.text(max_size=3) | st.none())
def test_temperature_and_beta_are_finite_numbers_or_refused(value):
    for check, is_valid in ((check_temperature, lambda v: v > 0), (check_beta, lambda v: v >= 0)):
        try:
            check(value)
        except ValueError as error:
            assert str(error).startswith("`")
        else:
            assert math.isfinite(value) and is_valid(value)


IMAGES = tf.constant(0.5, shape=(2, 2, 2, 3))


@settings(CHECK, max_examples=30)
@given(epsilon=NUMBERS, step_size=NUMBERS, num_steps=st.integers(-2, 2))
def test_pgd_stays_in_ball_and_box_or_names_what_is_wrong(epsilon, step_size, num_steps):
    try:
        attacked = linf_pgd(
            lambda images: tf.reduce_sum(images, axis=[1, 2, 3]),
            IMAGES,
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
        )
    except ValueError as error:
        assert str(error).split("`")[1] in ("epsilon", "step_size", "num_steps")
    else:
        moved = np.abs(attacked - IMAGES).max()
        assert moved <= epsilon + 1e-6 and np.all((attacked >= 0) & (attacked <= 1))


@CHECK
@given(
    epsilon=NUMBERS,
    num_classes=NUMBERS,
    batch_size=NUMBERS,
    version=st.sampled_from(["standard", "fast", "", "custom"]),
    norm=st.sampled_from(["linf", "l2", "l1", ""]),
)
def test_autoattack_is_made_or_names_what_is_wrong(epsilon, num_classes, batch_size, version, norm):
    try:
        AutoAttack(
            lambda images: images[:, 0, 0],
            epsilon=epsilon,
            num_classes=num_classes,
            batch_size=batch_size,
            version=version,
            norm=norm,
        )
    except ValueError as error:
        assert str(error).startswith("`")
    else:
        assert 0 < epsilon < math.inf and num_classes >= 2 and batch_size >= 1
