"""AutoAttack as a protocol: the same verdicts as by itself, its record, state and images."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import AutoAttack
from ascl_tf.attacks.autoattack_versions import VERSIONS
from ascl_tf.errors import RunError
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.autoattack_protocol import AutoAttackOptions
from ascl_tf.evaluation.protocols import Protocol, get_protocol
from ascl_tf.evaluation.verdicts import verdicts_of
from tests.attacks.classifiers import LinearClassifier, images_and_labels
from tests.attacks.shared_runners import shared_runners

FAST = Protocol(name="fast", kind="autoattack", epsilon="0.01", options={"version": "fast"})


@pytest.fixture(scope="module")
def problem():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=12)
    labels[0] = (labels[0] + 1) % 5
    return classifier, images, labels


@pytest.fixture(scope="module", autouse=True)
def _few_steps():
    """A tenth of the version's steps."""
    short = [dataclasses.replace(attack, num_steps=10) for attack in VERSIONS["fast"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VERSIONS, "fast", tuple(short))
        yield


@pytest.fixture(scope="module")
def runners():
    """The compiled attacks of the problem's classifier."""
    return {}


def test_named_protocols_are_the_named_versions():
    for name, version in (("autoattack", "standard"), ("autoattack_fast", "fast")):
        protocol = get_protocol(name)
        assert (protocol.kind, protocol.epsilon.text) == ("autoattack", "8/255")
        assert dict(protocol.options) == {"version": version}


@pytest.mark.slow  # Attack by attack: test_apgd.py, test_fab.py, test_square.py.
def test_l2_ensemble_stays_in_its_ball_and_keeps_its_state_beside_the_records(
    problem, runners, tmp_path
):
    classifier, images, labels = problem
    protocol = Protocol(
        name="fast_l2@epsilon=16/255",
        kind="autoattack",
        epsilon="16/255",
        options={"version": "fast", "norm": "l2"},
    )
    options = AutoAttackOptions(state_path=tmp_path / "records.json")
    with shared_runners(runners):
        (record,) = evaluate_robustness(
            classifier, (images, labels), protocol, autoattack_options=options
        )
        attack = AutoAttack(classifier, epsilon=16 / 255, num_classes=5, norm="l2", version="fast")
        result = attack(images, labels)
    assert record["robust_accuracy"] == pytest.approx(result.robust_accuracy)
    lengths = np.linalg.norm((result.adversarial_images - images).reshape(12, -1), axis=1)
    assert record["max_perturbation"] == pytest.approx(lengths.max(), abs=1e-6)
    assert 0 < lengths.max() <= 16 / 255 + 1e-6
    assert (tmp_path / "records.json.fast_l2@epsilon=16-255.state").is_file()


def test_record_holds_what_autoattack_finds_by_itself(problem, runners, tmp_path):
    classifier, images, labels = problem
    notes = []

    def progress(name, num_done, num_to_do, note=""):
        notes.append((name, num_done, num_to_do, note))

    options = AutoAttackOptions(images_path=tmp_path / "images.npz")
    with shared_runners(runners):
        (record,) = evaluate_robustness(
            classifier,
            (images, labels),
            FAST,
            batch_size=5,
            seed=3,
            progress=progress,
            autoattack_options=options,
        )
        attack = AutoAttack(classifier, epsilon=0.01, num_classes=5, version="fast", seed=3)
        want = attack(images, labels)
    assert record["robust_accuracy"] == pytest.approx(want.robust_accuracy)
    assert record["standard_accuracy"] == pytest.approx(100 * 11 / 12)
    assert list(record["attacks"]) == ["clean", "apgd-ce", "apgd-t"]
    for name, robust in want.robust.items():
        assert record["attacks"][name]["is_robust"] == "".join(map(str, robust.astype(int)))
        assert record["attacks"][name]["robust_accuracy"] == pytest.approx(100 * robust.mean())
    np.testing.assert_array_equal(verdicts_of(record), want.robust["apgd-t"])
    assert verdicts_of(record, "standard").tolist() == [False] + [True] * 11
    assert 0 < record["max_perturbation"] <= 0.01 + 1e-6
    assert record["wall_seconds"] > 0 and record["checks"] == []
    assert json.loads(json.dumps(record)) == record

    names = {name for name, *_ in notes}
    assert names == {"standard", "fast: apgd-ce", "fast: apgd-t"}
    num_left = int(want.robust["apgd-t"].sum())
    assert notes[-1][3] == f"{num_left} left, robust accuracy {100 * num_left / 12:.2f} %"
    assert notes[-1][1] == notes[-1][2]

    with np.load(tmp_path / "images.npz") as saved:
        np.testing.assert_allclose(saved["images"], want.adversarial_images, atol=1e-6)
        np.testing.assert_array_equal(saved["labels"], labels)
        np.testing.assert_array_equal(saved["is_robust"], want.robust["apgd-t"])


@pytest.mark.slow  # test_evaluate_autoattack.py does so by the program.
def test_interrupted_evaluation_is_resumed(problem, runners, tmp_path):
    with shared_runners(runners):
        _check_interrupted_evaluation(problem, tmp_path)


def _check_interrupted_evaluation(problem, tmp_path):
    classifier, images, labels = problem
    path = tmp_path / "records.json"
    settings = {"batch_size": 4, "model_sha256": "abc"}
    (want,) = evaluate_robustness(classifier, (images, labels), FAST, **settings)

    def interrupt(name, num_done, num_to_do, note=""):
        if name == "fast: apgd-t":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_robustness(
            classifier,
            (images, labels),
            FAST,
            progress=interrupt,
            autoattack_options=AutoAttackOptions(state_path=path),
            **settings,
        )
    assert (tmp_path / "records.json.fast.state").is_file()
    options = AutoAttackOptions(state_path=path, resume=True)
    for change, message in (
        ({"seed": 5}, r"fast\.state: expected the state of a run with seed 5; found 0"),
        ({"model_sha256": "other"}, r"with model other; found abc"),
        ({"num_images": 11}, r"with num_images 11; found 12"),
    ):
        with pytest.raises(RunError, match=message):
            evaluate_robustness(
                classifier,
                (images, labels),
                ["standard", FAST],
                autoattack_options=options,
                on_records=lambda found: pytest.fail("something was measured"),
                **settings | change,
            )
    (got,) = evaluate_robustness(
        classifier, (images, labels), FAST, autoattack_options=options, **settings
    )
    for name, attack in want["attacks"].items():
        assert got["attacks"][name]["is_robust"] == attack["is_robust"]
    # As a kill leaves it.
    (tmp_path / "records.json.fast.state.images" / ".000009.npz.77.tmp").touch()
    options.forget([FAST, get_protocol("pgd20")])
    assert list(tmp_path.iterdir()) == []


def test_findings_stand_in_the_record_once(problem):
    classifier, images, labels = problem
    three = LinearClassifier(num_classes=3)
    (record,) = evaluate_robustness(three, images_and_labels(three), FAST)
    assert [check["name"] for check in record["checks"]] == ["left_out_apgd-t"]
    assert "needs at least 4 classes" in record["checks"][0]["message"]
    assert "random_output" in record["checks_passed"]


def test_classifier_without_gradient_is_named(problem):
    classifier, images, labels = problem
    with pytest.raises(ValueError, match=r"`logits_fn` must be differentiable"):
        evaluate_robustness(lambda x: tf.round(classifier(x)), (images, labels), FAST)
