"""Settings: fractions as written, JSON there and back, identity by stage, ranges."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascl_tf import config as cfg
from ascl_tf.config import Config, Fraction, config_from_json, shrink
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.program.messages import one_line
from tests.program_lines import line_matches

FIELDS = cfg.setting_fields()
LABEL_FREE = [name for name in cfg.method_names() if Config(method=name).is_label_free]
few_examples = settings(max_examples=40, deadline=None)


def test_fraction_is_its_value_and_remembers_its_text():
    epsilon = Fraction("8/255")
    assert epsilon == 8 / 255
    assert (str(epsilon), repr(epsilon), f"{epsilon}", epsilon.text) == ("8/255",) * 4


@pytest.mark.parametrize(("text", "value"), [("0.03", 0.03), (" 2 / 4 ", 0.5), ("1e-2", 0.01)])
def test_fraction_reads_decimals_and_spaces(text, value):
    assert Fraction(text) == value
    assert Fraction(text).text == text.strip()


def test_fraction_survives_copies_and_pickling():
    epsilon = Fraction("8/255")
    for twin in (Fraction(epsilon), pickle.loads(pickle.dumps(epsilon))):
        assert twin == epsilon and twin.text == "8/255"


@pytest.mark.parametrize("text", ["", "eight", "8/", "/255", "8/0", "1/2/3", "8\\255", "None"])
def test_fraction_refuses_what_is_none(text):
    with pytest.raises(ValueError, match="expected a number or a fraction such as 8/255; found"):
        Fraction(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "inf/2", "1e308/1e-308"])
def test_fraction_refuses_what_is_not_finite(text):
    with pytest.raises(ValueError, match="expected a finite number; found"):
        Fraction(text)


@few_examples
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_fraction_equals_the_quotient_of_its_integers(numerator, denominator):
    fraction = Fraction(f"{numerator}/{denominator}")
    assert fraction == numerator / denominator
    assert Fraction(fraction.text) == fraction


@few_examples
@given(st.text(max_size=12))
def test_fraction_of_any_text_is_finite_or_a_value_error(text):
    try:
        value = Fraction(text)
    except ValueError as error:
        assert str(error).startswith("expected a")
    else:
        assert math.isfinite(value)


def test_defaults_are_valid_and_every_field_is_described():
    Config()
    for field in FIELDS.values():
        assert field.metadata["help"].endswith(".")
        assert field.metadata["stages"] and set(field.metadata["stages"]) <= set(cfg.STAGES)


def test_sections_share_no_field_and_make_up_the_config():
    names = [field.name for section in cfg.sections() for field in dataclasses.fields(section)]
    assert len(names) == len(set(names))
    assert set(names) == set(FIELDS)


def test_defaults_are_the_papers():
    config = Config()
    paper = {
        "method": "ascl",
        "lambda_1": 0.5,
        "lambda_2": 0.2,
        "temperature": 0.5,
        "epsilon": 8 / 255,
        "step_size": 2 / 255,
        "num_steps_at": 10,
        "num_steps_cl": 5,
        "num_steps_ascl": 5,
        "global_batch_size": 512,
        "learning_rate": 0.1,
        "finetune": "laf",
    }
    assert {name: getattr(config, name) for name in paper} == paper


def test_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().width = 3


def _random_value(field):
    """Returns a strategy of values that the field's own checks accept."""
    choices, bounds = field.metadata["choices"], field.metadata["bounds"]
    if field.metadata["only_own_methods"] or field.name == "method":
        return st.just(field.default)  # Others go only with some methods.
    if choices:
        return st.sampled_from(choices)
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, Fraction):
        # Below this step_size stays within twice epsilon whatever is drawn.
        return st.integers(128, 255).map(lambda n: Fraction(f"{n}/255"))
    if field.name == "depth":
        return st.sampled_from([18, 34])
    if isinstance(field.default, int):
        low = bounds["minimum"] or 0
        return st.integers(low, bounds["maximum"] or low + 1000)
    if isinstance(field.default, float):
        low = bounds["above"] if bounds["minimum"] is None else bounds["minimum"]
        high = bounds["maximum"] or 100.0
        return st.floats(low, high, exclude_min=bounds["above"] is not None)
    # An unlabeled data set goes only with some methods, shares are numbers, and one protocol is
    # named; other texts are free.
    bound = {
        "protocol": st.text(max_size=8).filter(cfg.split_protocols),
        "encoder": st.sampled_from(["resnet", "preact_resnet"]),
        "unlabeled_dataset": st.just(""),
        "export_format": st.sampled_from(["saved_model", "keras,tflite"]),
        "memory_limit": st.sampled_from(["", "0", "8GB", "1.5 MiB"]),
        "decay_at": st.sampled_from(["", "0.6,0.8", "1"]),
        "finetune_decay_at": st.sampled_from(["auto", "", "0.5"]),
        "num_clusters": st.sampled_from(["2", "10,50"]),
    }
    return bound.get(field.name, st.text(max_size=8))


random_configs = st.builds(Config, **{name: _random_value(field) for name, field in FIELDS.items()})


@few_examples
@given(random_configs)
def test_json_round_trip_keeps_every_value_and_every_text(config):
    twin = config_from_json(json.dumps(config.to_json()), "here")
    assert twin == config
    assert twin.to_json() == config.to_json()


def test_json_holds_fractions_as_written():
    assert Config(epsilon=Fraction("16/255")).to_json()["epsilon"] == "16/255"


def test_json_may_leave_settings_out_and_write_whole_floats_as_integers():
    config = config_from_json('{"width": 16, "temperature": 1, "epsilon": 0.03}', "here")
    assert config == Config(width=16, temperature=1.0, epsilon=Fraction("0.03"))
    assert isinstance(config.temperature, float) and isinstance(config.epsilon, Fraction)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"^here: expected a JSON object of settings; found .*line 1"),
        ("[1]", r"^here: expected a JSON object; found list"),
        ('{"wigth": 1, "b": 2}', r"^here: expected known settings; found b, wigth"),
        ('{"width": "16"}', r"^here: expected width to be int; found '16'"),
        ('{"width": 1.5}', r"^here: expected width to be int; found 1\.5"),
        ('{"width": true}', r"^here: expected width to be int; found True"),
        ('{"smoke": 1}', r"^here: expected smoke to be bool; found 1"),
        ('{"temperature": "x"}', r"^here: expected temperature to be float; found 'x'"),
        ('{"temperature": false}', r"^here: expected temperature to be float; found False"),
        ('{"dataset": null}', r"^here: expected dataset to be str; found None"),
        ('{"epsilon": "wide"}', r"^here: epsilon: expected a number or a fraction.*'wide'"),
        ('{"epsilon": NaN}', r"^here: epsilon: expected a finite number; found 'nan'"),
        ('{"epsilon": null}', r"^here: expected epsilon to be Fraction; found None"),
        ('{"epsilon": true}', r"^here: expected epsilon to be Fraction; found True"),
        ('{"epsilon": 8}', r"^here: --epsilon: expected a number > 0 and <= 1.*found 8"),
        ('{"method": "moco"}', r"^here: --method: expected one of acl, .*; found 'moco'"),
    ],
)
def test_broken_json_names_its_source_and_the_setting(text, message):
    with line_matches(RunError, message):
        config_from_json(text, "here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": Fraction("0")}, r"--epsilon: expected a number > 0 and <= 1 \(as a fraction"),
        ({"epsilon": Fraction("-8/255")}, r"--epsilon: expected .* > 0 .*; found -8/255"),
        ({"epsilon": Fraction("8")}, r"--epsilon: .*fraction such as 8/255, in \[0, 1\].*found 8"),
        ({"step_size": Fraction("2")}, r"--step_size: expected a number > 0 and <= 1.*found 2"),
        ({"temperature": 0.0}, r"--temperature: expected a number > 0; found 0\.0"),
        ({"temperature": -1.0}, r"--temperature: expected a number > 0; found -1\.0"),
        ({"temperature": math.nan}, r"--temperature: expected a number > 0; found nan"),
        ({"learning_rate": math.inf}, r"--learning_rate: expected a number > 0; found inf"),
        ({"lambda_1": -0.1}, r"--lambda_1: expected a number >= 0; found -0\.1"),
        ({"labeled_fraction": 0.0}, r"--labeled_fraction: .* > 0 and <= 1; found 0\.0"),
        ({"validation_fraction": 0.95}, r"--validation_fraction: .*>= 0 and <= 0\.9; found 0\.95"),
        ({"global_batch_size": 0}, r"--global_batch_size: expected a number >= 1; found 0"),
        ({"image_size": -1}, r"--image_size: expected a number >= 0; found -1"),
        ({"num_replicas": -1}, r"--num_replicas: expected a number >= 0; found -1"),
        ({"seed": 2**31}, r"--seed: expected a number >= 0 and <= 2.*; found 2147483648"),
        ({"method": "moco"}, r"--method: expected one of acl, advcl, ascl.*; found 'moco'"),
        ({"cl_mode": "a2b"}, r"--cl_mode: expected one of a2a, a2s, ds; found 'a2b'"),
        ({"finetune": "slf"}, r"--finetune: expected one of laf, lsf, fsf, faf; found 'slf'"),
        ({"depth": 20}, r"--depth: expected 18, 34 or 50; found 20 with --encoder=resnet$"),
        ({"depth": 50, "encoder": "preact_resnet"}, r"--depth: expected 18 or 34; found 50 with"),
        ({"depth": 34, "encoder": "mine:f"}, r"--depth: expected no depth beside the encoder's;"),
        ({"stem": "cifar", "encoder": "m.keras"}, r"--stem=cifar: expected a network of the pack"),
        ({"encoder": "wide_resnet_28"}, r"--encoder: expected resnet, .*; found 'wide_resnet_28'"),
        ({"encoder": "wide_resnet_27_1"}, r"--encoder: expected .* 28, .*; found 'wide_resnet_27"),
        ({"decay_at": "60,80"}, r"--decay_at: expected numbers in \(0, 1\].*; found '60,80'"),
        ({"memory_limit": "much"}, r"--memory_limit: expected bytes, or with.*; found 'much'"),
        ({"memory_limit": "8 furlongs"}, r"--memory_limit: expected bytes.*; found '8 furlongs'"),
        ({"memory_limit": "-1"}, r"--memory_limit: expected bytes.*; found '-1'"),
        ({"memory_limit": "1e400"}, r"--memory_limit: expected bytes.*; found '1e400'"),
        ({"decay_at": "half"}, r"--decay_at: expected numbers in \(0, 1\].*; found 'half'"),
        ({"finetune_decay_at": "15"}, r"--finetune_decay_at: expected numbers in .*; found '15'"),
        ({"num_clusters": "1,2"}, r"--num_clusters: expected whole numbers >= 2.*; found '1,2'"),
        ({"num_clusters": ""}, r"--num_clusters: expected whole numbers >= 2.*; found ''"),
        (
            {"method": "trades", "unlabeled_dataset": "stl10"},
            "--unlabeled_dataset: expected --unlabeled_kl_weight > 0.*; found --unlabeled_kl_w",
        ),
        (
            {"method": "rotation_at", "at_attack": "fgsm_rs"},
            "--at_attack=fgsm_rs: expected .* mart or trades; found --method=rotation_at",
        ),
        (
            {"at_attack": "fgsm_rs", "attack_source_at": "cl"},
            "--at_attack=fgsm_rs: expected --attack_source_at=ce; found cl",
        ),
        (
            {"method": "at", "shared_perturbation": "ascl"},
            "--shared_perturbation=ascl: expected --method=ascl; found --method=at",
        ),
        (
            {"shared_perturbation": "ascl", "ascl_loss": "adversarial_pair"},
            "--shared_perturbation=ascl: expected --ascl_loss=clean_adversarial; found adv.*pair",
        ),
        (
            {"shared_perturbation": "all"},
            "--shared_perturbation=all: expected --cl_mode=a2s, .*; found a2a",
        ),
        (
            {"lambda_1": 0.0, "unlabeled_dataset": "stl10"},
            r"--unlabeled_dataset: expected --lambda_1 > 0.*; found --lambda_1=0",
        ),
        (
            {"method": "rotation_at", "rotation_weight": 0.0, "unlabeled_dataset": "stl10"},
            r"--unlabeled_dataset: expected --rotation_weight > 0.*; found --rotation_weight=0",
        ),
        (
            {"method": "scl", "unlabeled_dataset": "stl10"},
            r"--unlabeled_dataset: expected a method .*_classifier; found --method=scl",
        ),
        (
            {"epsilon": Fraction("2/255"), "step_size": Fraction("5/255")},
            r"--step_size: expected at most twice --epsilon=2/255; found 5/255",
        ),
    ],
)
def test_value_out_of_range_names_flag_expected_and_found(changes, message):
    with line_matches(ConfigError, f"^{message}"):
        Config(**changes)
    with line_matches(ConfigError, f"^{message}"):
        Config().replace(**changes)


_BOUNDED = [
    (name, kind, bound)
    for name, field in FIELDS.items()
    for kind, bound in field.metadata["bounds"].items()
    if bound is not None
]


@pytest.mark.parametrize(("name", "kind", "bound"), _BOUNDED)
def test_each_bound_refuses_the_next_value_beyond_it(name, kind, bound):
    kind_of_number = type(FIELDS[name].default)
    beyond = {
        "above": bound,
        "minimum": bound - 1 if kind_of_number is int else math.nextafter(bound, -math.inf),
        "maximum": bound + 1 if kind_of_number is int else math.nextafter(bound, math.inf),
    }[kind]
    with line_matches(ConfigError, f"^--{name}: expected a number "):
        Config(**{name: kind_of_number(beyond)})


def _settings(config, stage):
    return cfg.settings_in(cfg.identity_of(config, stage))


def test_identity_holds_what_differs_from_the_defaults_and_no_place():
    assert _settings(Config(), "pretrain") == _settings(Config(), "finetune") == {}
    places = {"workdir": "w", "data_dir": "d", "cache_dir": "c"}
    config = Config(lambda_1=0.3, finetune="faf", num_replicas=2, memory_limit="1GB", **places)
    assert _settings(config, "pretrain") == {"lambda_1": 0.3}
    assert _settings(config, "finetune") == {"finetune": "faf"}
    weaker = Config(epsilon=Fraction("4/255"))
    assert _settings(weaker, "finetune") == {"epsilon": "4/255"}


@pytest.mark.parametrize(
    ("mode", "name", "value"),
    [
        ("laf", "finetune_epochs", 10),
        ("faf", "finetune_epochs", 25),
        ("laf", "finetune_decay_at", ""),
        ("faf", "finetune_decay_at", "0.6,0.8"),
        ("laf", "finetune_global_batch_size", 512),
    ],
)
def test_a_value_that_the_default_stands_for_is_the_default(mode, name, value):
    plain, other = Config(finetune=mode), "0.5" if name == "finetune_decay_at" else 7
    same = plain.replace(**{name: value})
    assert cfg.identity_of(same, "finetune") == cfg.identity_of(plain, "finetune")
    assert _settings(plain.replace(**{name: other}), "finetune")[name] == other


def test_a_setting_that_is_added_later_changes_no_recorded_run():
    config = Config(lambda_1=0.3)
    identity = cfg.identity_of(config, "pretrain")
    # As an earlier version recorded it: every setting but those that it did not know.
    recorded = {name: value for name, value in config.to_json().items() if name != "precision"}
    recorded = {n: v for n, v in recorded.items() if FIELDS[n].metadata["is_identity"]}
    assert cfg.find_differences({**recorded, "formats": identity["formats"]}, identity) == []


def test_differences_name_flags_with_both_values_and_formats():
    first = cfg.identity_of(Config(lambda_1=0.3, seed=1), "pretrain")
    second = cfg.identity_of(Config(lambda_1=0.4), "pretrain")
    found = cfg.find_differences(first, second)
    assert found == ["`lambda_1=0.4` (recorded: 0.3)", "`seed=0` (recorded: 1)"]
    (difference,) = cfg.find_differences({"lambda_1": 0.4}, second)
    assert difference == "format 2 of the optimization settings (recorded: 1)"


def test_identity_changes_with_a_setting_of_the_stage_only():
    config = Config()
    other = config.replace(temperature=0.1, workdir="elsewhere")
    assert cfg.identity_of(other, "pretrain") != cfg.identity_of(config, "pretrain")
    assert cfg.identity_of(other, "finetune") == cfg.identity_of(config, "finetune")
    # One pre-training can be fine-tuned in every mode.
    other = config.replace(finetune="faf")
    assert cfg.identity_of(other, "pretrain") == cfg.identity_of(config, "pretrain")
    assert cfg.identity_of(other, "finetune") != cfg.identity_of(config, "finetune")


def test_identity_is_plain_json():
    identity = cfg.identity_of(Config(), "pretrain")
    assert json.loads(json.dumps(identity)) == identity


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({"finetune": "laf"}, 10),
        ({"finetune": "lsf"}, 10),
        ({"finetune": "fsf"}, 25),
        ({"finetune": "faf"}, 25),
        ({"finetune": "faf", "finetune_epochs": 3}, 3),
    ],
)
def test_length_of_fine_tuning_follows_its_mode_unless_given(changes, epochs):
    assert Config(**changes).num_finetune_epochs == epochs


def test_one_shot_methods_are_the_supervised_ones():
    others = ("ascl", "scl", *LABEL_FREE)
    for method in ("standard", "at", "trades", "mart", "rotation_at", *others):
        assert Config(method=method).is_one_shot == (method not in others)


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({"finetune": "laf"}, ()),
        ({"finetune": "faf"}, (0.6, 0.8)),
        ({"finetune": "laf", "finetune_decay_at": "0.8,0.4"}, (0.4, 0.8)),
        ({"finetune": "faf", "finetune_decay_at": ""}, ()),
    ],
)
def test_decay_of_fine_tuning_follows_its_mode_unless_given(changes, shares):
    assert Config(**changes).finetune_decay_shares == shares


@few_examples
@given(random_configs)
def test_smoke_is_small_valid_and_shrinks_only_once(config):
    small = shrink(config)
    assert small.smoke and shrink(small) == small
    assert small.width <= 4 and small.epochs == small.finetune_epochs == 1
    steps = [small.num_steps_at, small.num_steps_cl, small.num_steps_ascl]
    assert max(*steps, small.finetune_num_steps) <= 2
    assert small.num_train_images <= 64 and small.dataset == "bundled"


def test_smoke_keeps_what_makes_a_row_different():
    row = Config(method="ascl", outer_loss="trades", cl_mode="ds", lambda_1=0.3, depth=34)
    small = shrink(row)
    for name in ("method", "outer_loss", "cl_mode", "lambda_1", "depth", "epsilon", "finetune"):
        assert getattr(small, name) == getattr(row, name)
    # A term without attack steps stays so.
    assert shrink(Config(num_steps_cl=0)).num_steps_cl == 0


def test_smoke_of_few_labels_leaves_some_of_every_class():
    small = shrink(Config(labeled_fraction=0.01, unlabeled_dataset="stl10"))
    num_trained = small.num_train_images * (1 - small.validation_fraction)
    assert num_trained * small.labeled_fraction >= 10
    assert small.unlabeled_dataset == "bundled"


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, True),
        ({"lambda_1": 0.0}, False),
        ({"method": "rotation_at"}, True),
        ({"method": "rotation_at", "rotation_weight": 0.0}, False),
        *[({"method": method}, True) for method in LABEL_FREE],
        *[({"method": m}, False) for m in ("scl", "standard", "at", "trades", "mart")],
        ({"method": "at", "unlabeled_kl_weight": 1.0}, True),
        ({"method": "wscat"}, True),
        ({"method": "wscat", "wscat_weight": 0.0}, False),
    ],
)
def test_images_without_a_label_serve_where_a_term_needs_none(changes, expected):
    config = Config(**changes)
    assert config.uses_unlabeled_images is expected
    assert not config.has_unlabeled_images
    assert config.replace(labeled_fraction=0.5).has_unlabeled_images is expected
    if expected:
        assert config.replace(unlabeled_dataset="stl10").has_unlabeled_images


def test_with_a_classifier_for_their_labels_all_images_serve_and_none_lacks_a_label():
    config = Config(method="at", labeled_fraction=0.1, pseudo_label_classifier="model")
    assert config.uses_unlabeled_images and not config.has_unlabeled_images
    with line_matches(ConfigError, "--pseudo_label_classifier: expected .*; found --method=simclr"):
        config.replace(method="simclr")
    with line_matches(
        ConfigError, "--unlabeled_kl_weight=1.0: expected no --pseudo_label_classifi"
    ):
        config.replace(unlabeled_kl_weight=1.0)


def test_l2_has_defaults_of_its_own():
    for config in (
        Config(norm="l2"),
        Config().replace(norm="l2"),
        Config(seed=1).replace(norm="l2"),
    ):
        assert (config.epsilon.text, config.attack.step_size.text) == ("128/255", "15/255")
        assert "epsilon" not in config.changes()
        assert config.replace(norm="linf").epsilon.text == "8/255"
    assert Config(epsilon=Fraction("9/255")).replace(norm="l2").epsilon.text == "9/255"
    both = Config(norm="l2", epsilon=Fraction("8/255"), step_size=Fraction("2/255"))
    assert set(both.changes()) == {"norm", "epsilon", "step_size"}
    assert both == config_from_json(json.dumps(both.to_json()), "here")
    assert both == pickle.loads(pickle.dumps(both))
    assert Config(norm="l2", epsilon=Fraction("3")).epsilon == 3.0


def test_identity_holds_what_is_found_for_l2():
    usual = {"norm": "l2", "epsilon": "128/255", "step_size": "15/255"}
    assert _settings(Config(norm="l2"), "pretrain") == usual
    assert _settings(Config(norm="l2", epsilon=Fraction("128/255")), "finetune") == usual
    small = Config(norm="l2", epsilon=Fraction("8/255"))
    assert _settings(small, "pretrain") == {"norm": "l2", "step_size": "15/255"}
    usual, small = (cfg.identity_of(c, "pretrain") for c in (Config(norm="l2"), small))
    assert cfg.find_differences(usual, small) == ["`epsilon=8/255` (recorded: 128/255)"]
    assert cfg.find_differences(small, usual) == ["`epsilon=128/255` (recorded: 8/255)"]
    # What earlier versions recorded, the defaults with it, is still the same run.
    linf = cfg.identity_of(Config(), "pretrain")
    assert cfg.find_differences({**linf, "epsilon": "8/255", "step_size": "2/255"}, linf) == []


@pytest.mark.parametrize(
    ("norm", "epsilon", "message"),
    [
        ("linf", "8/255", None),
        ("linf", "0.3", None),
        ("linf", "128/255", "less than 0.5 for --norm=linf; found a radius that is usual in l2"),
        ("l2", "128/255", None),
        ("l2", "0.1", None),
        ("l2", "8/255", "more than 16/255 for --norm=l2; found a radius that is usual in l-inf"),
    ],
)
def test_radius_that_is_meant_for_the_other_norm_is_doubted(norm, epsilon, message):
    config = Config(norm=norm, epsilon=Fraction(epsilon), step_size=Fraction("1/255"))
    doubt = config.attack.doubt
    if message is None:
        assert doubt is None
    else:
        assert one_line(doubt).startswith(f"--epsilon={epsilon}: expected {message}")


def test_rate_that_is_not_given_is_the_recipes_by_the_root_of_the_batch():
    paper = Config()
    assert (paper.learning_rate, paper.warmup_epochs, paper.finetune_learning_rate) == (0.1, 0, 0.1)
    small = Config(global_batch_size=64, epochs=40)
    assert small.learning_rate == small.finetune_learning_rate == 0.0353553
    assert small.warmup_epochs == 2.0
    # Each method's own recipe, where its optimizer is asked for.
    assert Config(method="mart", global_batch_size=32).learning_rate == 0.005
    assert Config(method="acl", global_batch_size=128, optimizer="lars").learning_rate == 2.5
    assert Config(method="acl", global_batch_size=128).learning_rate == 0.05
    assert Config(optimizer="lars").learning_rate == 2.0


def test_rate_that_is_given_stays_and_warms_up_only_if_asked_to():
    config = Config(global_batch_size=64, learning_rate=0.1)
    assert (config.learning_rate, config.warmup_epochs) == (0.1, 0.0)
    assert config.replace(global_batch_size=32).learning_rate == 0.1
    assert Config(global_batch_size=64, warmup_epochs=3.0).warmup_epochs == 3.0


def test_auto_stands_for_a_rate_that_is_not_given():
    config = Config(global_batch_size=64, learning_rate=0.5)
    assert config.replace(learning_rate="auto") == Config(global_batch_size=64)
    # What is not given is found again where what it depends on changes, and recorded in numbers.
    recorded = config_from_json(json.dumps(Config(global_batch_size=64).to_json()), "here")
    assert recorded.replace(global_batch_size=128).learning_rate == 0.05
    assert recorded.to_json()["learning_rate"] == 0.0353553


def test_identity_holds_the_rate_that_was_found():
    found = _settings(Config(global_batch_size=128, epochs=40), "pretrain")
    given = Config(global_batch_size=128, epochs=40, learning_rate=0.05, warmup_epochs=2.0)
    assert found == _settings(given, "pretrain")
    assert found["learning_rate"] == 0.05 and found["warmup_epochs"] == 2.0
    # As runs were recorded before rates were found: at 0.1, which is the default, without a word.
    assert "learning_rate" not in _settings(given.replace(learning_rate=0.1), "pretrain")


@pytest.mark.parametrize(
    "values, line",
    [
        ({"epochs": "5"}, "`epochs`: expected an integer; found '5'"),
        ({"epochs": 2.5}, "`epochs`: expected an integer; found 2.5"),
        ({"epochs": True}, "`epochs`: expected an integer; found True"),
        ({"learning_rate": None}, "`learning_rate`: expected a number; found None"),
        ({"epsilon": "8/x"}, "`epsilon`: expected a number, or text such as '8/255'; found '8/x'"),
        ({"memory_limit": 5}, "`memory_limit`: expected text; found 5"),
        ({"nesterov": 1}, "`nesterov`: expected True or False; found 1"),
    ],
)
def test_value_of_another_type_is_named(values, line):
    with pytest.raises(ConfigError) as caught:
        Config(**values)
    assert str(caught.value) == line


def test_values_of_python_become_those_of_flags(tmp_path):
    config = Config(epochs=np.int64(5), epsilon="4/255", learning_rate=np.float32(0.5))
    assert type(config.epochs) is int and type(config.learning_rate) is float
    assert config.epsilon.text == "4/255"
    assert Config(encoder=tmp_path / "m.keras").encoder == str(tmp_path / "m.keras")


def test_copies_know_which_settings_the_user_has_chosen():
    config = cfg.Config(epochs=5, width=16)
    assert config.chosen == {"epochs", "width"}  # In Python, those that are named.
    told = config.with_chosen({"width"})
    for copy in (told.replace(epochs=6), pickle.loads(pickle.dumps(told))):
        assert copy.chosen == {"width"}
    assert told == config and cfg.identity_of(told, "pretrain") == cfg.identity_of(
        config, "pretrain"
    )
