"""Whatever text a setting is: a value, or one line that names it."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from ascl_tf import config as cfg
from ascl_tf.config.setting import Fraction
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.model_ensemble import member_paths
from ascl_tf.evaluation.protocols import Protocol
from ascl_tf.process.tf_config import check_single_process
from ascl_tf.program import flag_defs
from ascl_tf.program.evaluate_settings import EvaluateConfig
from ascl_tf.program.named_models import named_paths
from tests.properties.values import CHECK, NUMBERS, TEXT

_NAMES = sorted(cfg.setting_fields())


def _names_flag(error):
    assert str(error).startswith("--") or "expected" in str(error), error
    assert "\n" not in str(error)


@CHECK
@given(name=st.sampled_from(_NAMES), text=TEXT)
def test_any_text_behind_a_flag_is_a_value_or_a_config_error(name, text):
    values = flag_defs.define_flags(*cfg.sections())
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
    values = flag_defs.define_flags(*cfg.sections())
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
