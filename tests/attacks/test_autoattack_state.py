"""The state file: any interruption is survived, and the state of another run is refused."""

import json
import shutil

import numpy as np
import pytest

from ascl_tf.attacks import AutoAttack, autoattack_state
from ascl_tf.errors import RunError
from tests.attacks.classifiers import NUM_CLASSES, LinearClassifier, images_and_labels
from tests.attacks.shared_runners import shared_runners

SETTINGS = {
    "apgd-ce": {"num_steps": 3},
    "square": {"num_queries": 20},
}


@pytest.fixture(scope="module", autouse=True)
def _shared_runners():
    """A state is written between batches, of what compiled attacks know nothing."""
    with shared_runners({}):
        yield


class Interrupt(Exception):
    """Stands for a power cut."""


def _attack(classifier, **changes):
    settings = {
        "epsilon": 0.01,
        "num_classes": NUM_CLASSES,
        "version": "custom",
        "attacks": list(SETTINGS),
        "settings": SETTINGS,
        "batch_size": 5,
    }
    return AutoAttack(classifier, **{**settings, **changes})


def _interrupt_after(num_batches):
    seen = []

    def progress(step):
        seen.append(step)
        if len(seen) == num_batches:
            raise Interrupt

    return progress


@pytest.fixture(scope="module")
def problem():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=14)
    labels[0] = (labels[0] + 1) % NUM_CLASSES
    steps = []
    want = _attack(classifier)(images, labels, progress=steps.append)
    return classifier, images, labels, want, len(steps)


def _assert_same(got, want):
    assert list(got.robust) == list(want.robust)
    for name, robust in want.robust.items():
        np.testing.assert_array_equal(got.robust[name], robust)
    np.testing.assert_array_equal(got.adversarial_images, want.adversarial_images)
    assert got.robust_accuracy == want.robust_accuracy


def test_interrupted_after_every_batch_it_ends_as_if_undisturbed(problem, tmp_path):
    classifier, images, labels, want, num_batches = problem
    attack, path = _attack(classifier), tmp_path / "state.json"
    interruptions = 0
    while True:
        try:
            settings = {"state_path": path, "resume": True, "progress": _interrupt_after(1)}
            got = attack(images, labels, **settings)
            break
        except Interrupt:
            interruptions += 1
    assert interruptions == num_batches > 4
    _assert_same(got, want)


@pytest.mark.parametrize("num_batches", [1, 4])
def test_resumed_in_a_new_object_it_ends_as_if_undisturbed(problem, tmp_path, num_batches):
    classifier, images, labels, want, all_batches = problem
    path, steps = tmp_path / "state.json", []
    with pytest.raises(Interrupt):
        progress = _interrupt_after(num_batches)
        _attack(classifier)(images, labels, state_path=path, progress=progress)
    settings = {"state_path": path, "resume": True, "progress": steps.append}
    _assert_same(_attack(classifier)(images, labels, **settings), want)
    assert len(steps) == all_batches - num_batches


def test_finished_state_gives_the_result_without_an_attack(problem, tmp_path):
    classifier, images, labels, want, _ = problem
    path, steps = tmp_path / "state.json", []
    _attack(classifier)(images, labels, state_path=path)
    settings = {"state_path": path, "resume": True, "progress": steps.append}
    _assert_same(_attack(classifier)(images, labels, **settings), want)
    assert steps == []
    # No temporary file has stayed.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json", "state.json.images"]
    names = [p.name for p in (tmp_path / "state.json.images").iterdir()]
    assert names and all(name[0].isdigit() for name in names)


def test_time_adds_up_over_interruptions(problem, tmp_path):
    classifier, images, labels, _, _ = problem
    path = tmp_path / "state.json"
    with pytest.raises(Interrupt):
        _attack(classifier)(images, labels, state_path=path, progress=_interrupt_after(2))
    spent = json.loads(path.read_text())["progress"]["seconds"]["apgd-ce"]
    got = _attack(classifier)(images, labels, state_path=path, resume=True)
    assert got.seconds["apgd-ce"] > spent > 0


@pytest.fixture(scope="module")
def left(problem, tmp_path_factory):
    """Folder of what an interrupted attack has left."""
    classifier, images, labels, _, _ = problem
    path = tmp_path_factory.mktemp("left") / "state.json"
    with pytest.raises(Interrupt):
        progress = _interrupt_after(4)
        _attack(classifier)(images, labels, state_path=path, progress=progress, model_sha256="abc")
    return path.parent


@pytest.fixture
def begun(left, tmp_path):
    """A copy of the interrupted attack's state, to be broken."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    return tmp_path / "state.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0.02}, r"state\.json: expected.*epsilon 0\.02; found 0\.01"),
        ({"seed": 1}, r"expected.*seed 1; found 0"),
        ({"norm": "l2"}, r"expected.*norm l2; found linf"),
        ({"version": "fast", "attacks": None, "settings": None}, r"version fast; found custom"),
        ({"settings": {}}, r"expected the state of a run with attacks"),
    ],
)
def test_state_of_another_attack_is_refused(problem, begun, changes, message):
    classifier, images, labels, _, _ = problem
    with pytest.raises(RunError, match=message):
        _attack(classifier, **changes)(
            images, labels, state_path=begun, resume=True, model_sha256="abc"
        )


def test_state_of_other_data_is_refused(problem, begun):
    classifier, images, labels, _, _ = problem
    settings = {"state_path": begun, "resume": True, "model_sha256": "abc"}
    with pytest.raises(RunError, match=r"state\.json: expected the state of a run with data "):
        _attack(classifier)(images[::-1], labels[::-1], **settings)
    other = labels.copy()
    other[-1] = (other[-1] + 1) % NUM_CLASSES
    with pytest.raises(RunError, match=r"expected the state of a run with data "):
        _attack(classifier)(images, other, **settings)


def test_state_of_another_model_is_refused(problem, begun):
    classifier, images, labels, _, _ = problem
    with pytest.raises(RunError, match=r"expected the state of a run with model xyz; found abc"):
        _attack(classifier)(images, labels, state_path=begun, resume=True, model_sha256="xyz")
    settings = {"state_path": begun, "resume": True, "model_sha256": "abc"}
    with pytest.raises(RunError, match=r"state\.json: expected.*this model; found other logits"):
        _attack(LinearClassifier(seed=1))(images, labels, **settings)


def test_batch_size_may_change(problem, begun):
    classifier, images, labels, want, _ = problem
    settings = {"state_path": begun, "resume": True, "model_sha256": "abc"}
    got = _attack(classifier, batch_size=3)(images, labels, **settings)
    for name, robust in want.robust.items():
        np.testing.assert_array_equal(got.robust[name], robust)


def test_state_is_not_overwritten_without_resume(problem, begun):
    classifier, images, labels, _, _ = problem
    with pytest.raises(RunError, match=r"expected no state of an earlier run; found one"):
        _attack(classifier)(images, labels, state_path=begun, model_sha256="abc")


def test_resume_needs_a_place(problem):
    classifier, images, labels, _, _ = problem
    with pytest.raises(ValueError, match=r"`resume` needs a `state_path`; received None"):
        _attack(classifier)(images, labels, resume=True)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"identity": {}, "logits": [], "progres'])
def test_broken_state_is_named(problem, begun, text):
    classifier, images, labels, _, _ = problem
    begun.write_text(text)
    with pytest.raises(RunError, match=r"state\.json: expected a state file; found something else"):
        _attack(classifier)(images, labels, state_path=begun, resume=True)


@pytest.mark.parametrize("name", ["identity", "logits", "progress"])
def test_state_without_a_part_is_named_though_its_checksum_is_right(problem, begun, name):
    classifier, images, labels, _, _ = problem
    document = json.loads(begun.read_text())
    del document["sha256"], document[name]
    begun.write_text(json.dumps(document | {"sha256": autoattack_state._checksum(document)}))
    with pytest.raises(RunError, match=r"state\.json: expected a state file; found something else"):
        _attack(classifier)(images, labels, state_path=begun, resume=True, model_sha256="abc")


def test_check_of_a_state_refuses_what_a_call_would(problem, begun, tmp_path):
    _, images, labels, _, _ = problem
    attack = _attack(lambda images: pytest.fail("the model was asked"))
    attack.check_state(images, labels, tmp_path / "none.json", model_sha256="abc")
    attack.check_state(images, labels, begun, model_sha256="abc")
    with pytest.raises(RunError, match=r"state of a run with model xyz; found abc"):
        attack.check_state(images, labels, begun, model_sha256="xyz")
    begun.with_name("state.json.images").joinpath("000000.npz").write_bytes(b"")
    with pytest.raises(RunError, match=r"000000\.npz: expected adversarial images"):
        attack.check_state(images, labels, begun, model_sha256="abc")
    begun.write_text("{}")
    with pytest.raises(RunError, match=r"state\.json: expected a state file"):
        attack.check_state(images, labels, begun, model_sha256="abc")


def test_missing_images_are_named(problem, begun):
    classifier, images, labels, _, _ = problem
    for file in begun.with_name("state.json.images").iterdir():
        file.unlink()
    with pytest.raises(RunError, match=r"000000\.npz: expected adversarial images.*No such file"):
        _attack(classifier)(images, labels, state_path=begun, resume=True, model_sha256="abc")


def _exchange(file):
    with np.load(file) as batch:
        np.savez(file, rows=batch["rows"], images=1 - batch["images"])


def _damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("change", [_exchange, _damage])
def test_images_that_have_changed_are_named(problem, begun, change):
    classifier, images, labels, _, _ = problem
    change(begun.with_name("state.json.images") / "000000.npz")
    message = r"000000\.npz: expected adversarial images.*found a file whose checksum differs"
    with pytest.raises(RunError, match=message):
        _attack(classifier)(images, labels, state_path=begun, resume=True, model_sha256="abc")


def test_place_that_cannot_be_written_is_named(problem, tmp_path):
    classifier, images, labels, _, _ = problem
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"state\.json: expected a place that can be written"):
        _attack(classifier)(images, labels, state_path=tmp_path / "file" / "state.json")
