"""Protocols: fixed numbers, written as quoted, and clear errors."""

import dataclasses
import json

import pytest

from ascl_tf.evaluation import PROTOCOLS
from ascl_tf.evaluation.autoattack_protocol import AUTOATTACK
from ascl_tf.evaluation.batch_attacks import ATTACKS
from ascl_tf.evaluation.protocols import Protocol, get_protocol


@pytest.mark.parametrize(
    ("name", "epsilon", "step_size", "num_steps", "random_start"),
    [
        ("standard", 0, 0, 0, False),
        ("fgsm", 8, 8, 1, False),
        ("pgd10", 8, 2, 10, True),
        ("pgd20", 8, 2, 20, True),
        ("pgd20_eps16", 16, 2, 20, True),
        ("pgd20_step_tenth", 8, 0.8, 20, True),
        ("pgd100", 8, 2, 100, True),
        ("pgd20_l2", 128, 15, 20, True),
        ("cleverhans_fgm", 8, 8, 1, False),
        ("cleverhans_bim", 8, 1, 10, False),
        ("cleverhans_mim", 8, 0.8, 10, False),
        ("cleverhans_madry", 8, 2, 7, True),
        ("cleverhans_pgd20", 8, 2, 20, True),
    ],
)
def test_protocol_has_the_published_numbers(name, epsilon, step_size, num_steps, random_start):
    protocol = get_protocol(name)
    assert float(protocol.epsilon) == pytest.approx(epsilon / 255, abs=1e-12)
    assert float(protocol.step_size) == pytest.approx(step_size / 255, abs=1e-12)
    assert (protocol.num_steps, protocol.random_start) == (num_steps, random_start)


def test_every_protocol_can_be_carried_out_and_names_its_library():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert protocol.kind in (*ATTACKS, AUTOATTACK)
        assert protocol.library == ("cleverhans" if name.startswith("cleverhans") else "ascl_tf")


def test_settings_are_json_and_keep_the_radius_as_written():
    settings = get_protocol("cleverhans_mim").settings()
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["epsilon"], settings["step_size"]) == ("8/255", "0.8/255")
    assert settings["options"] == {"decay_factor": 1.0}


def test_a_protocol_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["pgd20"].num_steps = 1
    with pytest.raises(TypeError):
        PROTOCOLS["cleverhans_mim"].options["decay_factor"] = 0.0


def test_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(ValueError, match=r"pgd100, .*found 'pdg20' \(near it: pgd20\)$"):
        get_protocol("pdg20")


def test_name_without_resemblance_gets_no_hint():
    with pytest.raises(ValueError, match=r"found '\?\?\?'$"):
        get_protocol("???")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 8}, r"`epsilon` must be in \[0, 1\] pixel units.*received 8"),
        ({"epsilon": "-1/255"}, r"`epsilon` must be in \[0, 1\].*received -1/255"),
        ({"step_size": "2/1"}, r"`step_size` must be in \[0, 1\].*received 2/1"),
        ({"step_size": "two"}, r"`step_size`: .*fraction such as 8/255.*'two'"),
        ({"num_steps": -1}, r"`num_steps` must be an integer >= 0; received -1"),
        ({"num_restarts": 0}, r"`num_restarts` must be an integer >= 1; received 0"),
    ],
)
def test_setting_out_of_range_names_itself(change, message):
    with pytest.raises(ValueError, match=message):
        Protocol(name="mine", kind="linf_pgd", **change)
