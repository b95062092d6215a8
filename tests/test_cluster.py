"""`TF_CONFIG`: one process is let pass, several workers are refused."""

import json

import pytest

from ascl_tf.cluster import check_single_process
from ascl_tf.errors import ConfigError


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"cluster": {}},
        {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}},
        # As some clouds set it: an evaluator trains nothing, and other keys are theirs.
        {"cluster": {"chief": ["a:1"], "evaluator": ["b:1"]}, "environment": "cloud"},
    ],
)
def test_cluster_of_one_process_passes(document):
    check_single_process({"TF_CONFIG": json.dumps(document)})


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": " \n"}])
def test_without_the_variable_nothing_is_checked(environment):
    check_single_process(environment)


def test_variable_of_this_process_is_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}))
    with pytest.raises(ConfigError, match=r"TF_CONFIG: expected one worker.*found 2"):
        check_single_process()
