"""`TF_CONFIG`: which worker of how many this is, and what is refused where one process runs."""

import json

import pytest

from ascl_tf import train
from ascl_tf.errors import ConfigError
from ascl_tf.process.tf_config import Cluster, check_single_process, read_cluster

TWO = {"worker": ["a:1", "b:1"]}
A_CHIEF_TOO = TWO | {"chief": ["c:1"]}


def _environment(cluster, job=None, index=None):
    task = {} if job is None else {"type": job}
    task |= {} if index is None else {"index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


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
    environment = {"TF_CONFIG": json.dumps(document)}
    check_single_process(environment)
    assert read_cluster(environment) is None


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": " \n"}])
def test_without_the_variable_nothing_is_checked(environment):
    check_single_process(environment)
    assert read_cluster(environment) is None


def test_variable_of_this_process_is_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO}))
    with pytest.raises(ConfigError, match=r"TF_CONFIG: expected one worker.*found 2"):
        check_single_process()


@pytest.mark.parametrize(
    ("cluster", "job", "index", "expected"),
    [
        (TWO, "worker", 1, Cluster(("a:1", "b:1"), 1)),
        (TWO, "worker", None, Cluster(("a:1", "b:1"), 0)),
        (A_CHIEF_TOO, "chief", 0, Cluster(("c:1", "a:1", "b:1"), 0)),
        (A_CHIEF_TOO, "worker", 0, Cluster(("c:1", "a:1", "b:1"), 1)),
        ({"worker": ["a:1", "b:1"], "evaluator": ["c:1"]}, "worker", 1, Cluster(("a:1", "b:1"), 1)),
    ],
)
def test_chief_is_counted_first(cluster, job, index, expected):
    assert read_cluster(_environment(cluster, job, index)) == expected


@pytest.mark.parametrize(
    ("cluster", "job", "message"),
    [
        (TWO, None, r"expected `type` of `task`.*chief or worker; found None"),
        ({**TWO, "evaluator": ["c:1"]}, "evaluator", r"chief or worker; found 'evaluator'"),
        ({"master": ["a:1"], "worker": ["b:1"]}, "master", r"at most one chief.*1 master"),
        ({"chief": ["a:1", "b:1"]}, "chief", r"at most one chief.*found 2 chief"),
        ({"worker": ["a:1", "a:1"]}, "worker", r"each address once.*found a:1, a:1"),
    ],
)
def test_what_would_never_begin_is_refused(cluster, job, message):
    with pytest.raises(ConfigError, match=message):
        read_cluster(_environment(cluster, job))


@pytest.mark.parametrize("stage", ["evaluate", "export", "all"])
def test_stages_of_one_process_are_refused_on_several(monkeypatch, stage):
    monkeypatch.setenv("TF_CONFIG", _environment(TWO, "worker", 1)["TF_CONFIG"])
    with pytest.raises(ConfigError, match=f"--stage: .*pretrain or finetune.*2.*found {stage}"):
        train.main(["train", f"--stage={stage}"])
