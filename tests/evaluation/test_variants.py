"""Variants of protocols: how lists tell them apart, their numbers and names, and clear errors."""

import dataclasses
import json

import pytest

from ascl_tf.config import Fraction, split_protocols
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.protocols import PROTOCOLS, SERIES, describe_protocols, get_protocol, vary
from tests.program_lines import line_matches


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        (" , ,", []),
        ("pgd20", ["pgd20"]),
        ("standard,", ["standard"]),
        ("standard, pgd20,pgd20", ["standard", "pgd20"]),
        ("pgd20@epsilon=4/255,num_steps=50", ["pgd20@epsilon=4/255,num_steps=50"]),
        (
            "pgd20@num_steps=5 , step_size=1/255,pgd10",
            ["pgd20@num_steps=5,step_size=1/255", "pgd10"],
        ),
        (
            "pgd10,pgd20@num_steps=5,fgsm@epsilon=1/255",
            ["pgd10", "pgd20@num_steps=5", "fgsm@epsilon=1/255"],
        ),
        # Nothing that a number could belong to: refused where names are looked up.
        ("num_steps=5,pgd20,epsilon=1/255", ["num_steps=5", "pgd20", "epsilon=1/255"]),
        ("pgd20@,num_steps=5", ["pgd20@,num_steps=5"]),
    ],
)
def test_commas_of_variants_are_told_from_those_of_the_list(text, names):
    assert split_protocols(text) == names


def test_variant_has_its_numbers_and_all_others_of_the_protocol():
    variant, base = get_protocol("pgd20@num_steps=50, epsilon= 4/255"), PROTOCOLS["pgd20"]
    assert variant.name == "pgd20@epsilon=4/255,num_steps=50"
    changed = {"epsilon": "4/255", "num_steps": 50}
    assert variant.settings() == base.settings() | changed
    assert json.loads(json.dumps(variant.settings()))["epsilon"] == "4/255"
    assert get_protocol(variant.name) == variant


@pytest.mark.parametrize(
    ("name", "step_size"),
    [
        # One step of the whole radius is what these are.
        ("fgsm@epsilon=16/255", "16/255"),
        ("cleverhans_fgm@epsilon=4/255", "4/255"),
        ("fgsm@epsilon=16/255,step_size=2/255", "2/255"),
        ("pgd20@epsilon=16/255", "2/255"),
        ("pgd20_l2@epsilon=3", "15/255"),
    ],
)
def test_step_of_a_whole_radius_stays_that(name, step_size):
    assert get_protocol(name).step_size.text == step_size


def test_l2_protocols_have_their_numbers_and_norm():
    pgd, ensemble = get_protocol("pgd20_l2"), get_protocol("autoattack_l2")
    assert (pgd.norm, pgd.epsilon.text, pgd.step_size.text) == ("l2", "128/255", "15/255")
    assert (pgd.num_steps, pgd.random_start) == (20, True)
    assert (ensemble.norm, ensemble.epsilon.text) == ("l2", "0.5")
    assert dict(ensemble.options) == {"version": "standard", "norm": "l2"}
    others = {name for name, protocol in PROTOCOLS.items() if protocol.norm == "linf"}
    assert set(PROTOCOLS) - others == {"pgd20_l2", "autoattack_l2"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "pdg20@epsilon=4/255",
            r"expected one of .*; found 'pdg20@epsilon=4/255' \(near it: pgd20\)$",
        ),
        ("num_steps=50", r"expected one of .*; found 'num_steps=50'"),
        (
            "pgd20@eps=4/255",
            r"expected epsilon or step_size or num_steps for pgd20; found eps=4/255$",
        ),
        ("pgd20@", r"expected a variant with each number once, such as .*; found 'pgd20@'$"),
        ("pgd20@50", r"expected a variant .*; found 'pgd20@50'$"),
        ("pgd20@num_steps=5,num_steps=6", r"expected a variant with each number once"),
        ("standard@epsilon=4/255", r"expected no number for standard; found epsilon=4/255$"),
        ("autoattack@num_steps=5", r"expected epsilon for autoattack; found num_steps=5$"),
        ("cleverhans_fgm@num_steps=2", r"expected epsilon for cleverhans_fgm; found num_steps=2$"),
        ("pgd20@epsilon=8", r"epsilon of pgd20 to be a number > 0 and <= 1 \(.*\); found '8'$"),
        ("pgd20@epsilon=0", r"epsilon of pgd20 to be a number > 0 .*; found '0'$"),
        ("pgd20@epsilon=wide", r"epsilon of pgd20 to be .*; found 'wide'$"),
        ("pgd20@epsilon=nan", r"epsilon of pgd20 to be .*; found 'nan'$"),
        ("pgd20@step_size=-1/255", r"step_size of pgd20 to be .*; found '-1/255'$"),
        ("pgd20_l2@epsilon=128", r"epsilon of pgd20_l2 to be a number > 0 and <= 100 .*'128'$"),
        ("pgd20@num_steps=0", r"num_steps of pgd20 to be an integer from 1 to 1000000; found '0'$"),
        ("pgd20@num_steps=5_0", r"num_steps of pgd20 to be an integer .*; found '5_0'$"),
        ("pgd20@num_steps=" + "9" * 50, r"num_steps of pgd20 to be an integer .*; found '999"),
        (
            "cleverhans_pgd20@epsilon=1/255",
            r"step_size of cleverhans_pgd20 to be at most epsilon 1/255; found 2/255$",
        ),
    ],
)
def test_wrong_variant_is_one_line(name, message):
    with line_matches(ConfigError, f"^--protocol: .*{message}"):
        get_protocol(name)


def test_numbers_of_flags_make_the_same_variant_and_name_their_flag():
    numbers = {"epsilon": Fraction("4/255"), "num_steps": 50}
    want = get_protocol("pgd20@epsilon=4/255,num_steps=50")
    assert vary(PROTOCOLS["pgd20"], **numbers) == want
    assert vary(get_protocol("pgd20@num_steps=50"), epsilon=Fraction("4/255")) == want
    with line_matches(ConfigError, "^--num_steps: expected a protocol whose name .*; found pgd20@"):
        vary(want, num_steps=5)
    with line_matches(ConfigError, "^--epsilon: expected epsilon of fgsm to be .*; found '8'"):
        vary(PROTOCOLS["fgsm"], epsilon=Fraction("8"))
    with line_matches(ConfigError, "^--epsilon: expected step_size of cleverhans_pgd20 to be at m"):
        vary(PROTOCOLS["cleverhans_pgd20"], epsilon=Fraction("1/255"))


def test_description_has_one_line_for_each_name():
    lines = describe_protocols().splitlines()
    assert [line.split()[0] for line in lines] == [*PROTOCOLS, *SERIES]
    described = dict(line.split(maxsplit=1) for line in lines)
    expected = "PGD, l2 ball of 128/255, 20 steps of 15/255, uniform start"
    assert described["pgd20_l2"] == expected
    assert described["autoattack_l2"] == "AutoAttack (standard), l2 ball of 0.5"
    assert len(set(described.values())) == len(described)


def test_a_protocol_of_ones_own_is_no_variant():
    mine = dataclasses.replace(PROTOCOLS["pgd20"], name="mine", epsilon="3/255")
    assert mine.norm == "linf" and mine.own_numbers == ("epsilon", "step_size", "num_steps")
    with pytest.raises(ValueError, match=r"`epsilon` must be in \[0, 100\] pixel units"):
        dataclasses.replace(mine, kind="l2_pgd", epsilon=101)
