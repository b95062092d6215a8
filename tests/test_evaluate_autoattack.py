"""`python -m ascl_tf.evaluate --protocol=autoattack_fast`: resumed, saved, refused in one line."""

import os
import re
import shlex
import signal
import subprocess

import keras
import numpy as np
import pytest
from PIL import Image

from ascl_tf import evaluate
from ascl_tf.attacks.autoattack_run import Run
from ascl_tf.errors import RunError
from ascl_tf.evaluation.records import read_records
from ascl_tf.program import flag_defs
from tests.program_lines import line_matches

SIZE = 8


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Returns flags for a small network and sixteen images of four classes."""
    root = tmp_path_factory.mktemp("evaluation")
    rng = np.random.default_rng(0)
    for label in range(4):
        for split in ("train", "test"):
            place = root / "data" / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    network.save(root / "model.keras")
    return {
        "model": root / "model.keras",
        "dataset": f"folder:{root / 'data'}",
        "protocol": "autoattack_fast",
    }


def _argv(flags):
    return ["ascl-evaluate", *(f"--{name}={value}" for name, value in flags.items())]


def test_interrupted_run_is_resumed_and_leaves_records_and_images(
    flags, tmp_path, monkeypatch, capsys
):
    flags = flags | {"output": tmp_path / "records.json", "evaluation_batch_size": "3"}
    calls = []

    class Interrupt(Exception):
        pass

    def interrupted(self, attack, *rest):
        calls.append(attack.name)
        if len(calls) == 2:
            raise Interrupt
        return attack_batch(self, attack, *rest)

    attack_batch = Run._attack_batch
    monkeypatch.setattr(Run, "_attack_batch", interrupted)
    with pytest.raises(Interrupt):
        evaluate.main(_argv(flags))
    state = tmp_path / "records.json.autoattack_fast.state"
    assert state.is_file() and not (tmp_path / "records.json").exists()

    with pytest.raises(ValueError, match=r"autoattack_fast\.state: expected no state"):
        evaluate.main(_argv(flags))
    with pytest.raises(ValueError, match=r"state of a run with seed 7; found 0"):
        evaluate.main(_argv(flags | {"resume": "true", "seed": "7"}))

    with pytest.raises(ValueError, match=r"state of a run with num_images 15; found 16"):
        evaluate.main(_argv(flags | {"resume": "true", "num_images": "15"}))
    with line_matches(ValueError, r"with data \w+; found \w+ \(.*--dataset, --split, --image_size"):
        evaluate.main(_argv(flags | {"resume": "true", "split": "train"}))

    images = tmp_path / "images.npz"
    with subprocess.Popen(["true"]) as killed:
        pass
    for name in ("images.npz", "records.json", state.name):
        (tmp_path / f".{name}.{killed.pid}.tmp").touch()
    evaluate.main(_argv(flags | {"resume": "true", "adversarial_images": images}))
    (record,) = read_records(tmp_path / "records.json")
    assert record["protocol"] == "autoattack_fast"
    assert record["attack"]["options"] == {"version": "fast"}
    assert len(record["attacks"]["clean"]["is_robust"]) == 16
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images.npz", "records.json"]
    with np.load(images) as saved:
        assert saved["images"].shape == (16, SIZE, SIZE, 3)
    printed = capsys.readouterr().out
    assert "autoattack_fast" in printed and "apgd-ce" in printed and "left, robust" in printed


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("pgd10", "notice: --resume: nothing to continue, no AutoAttack in pgd10\n"),
        ("pgd10,autoattack", "notice: --resume: no state beside a.json; AutoAttack starts over"),
    ],
)
def test_resume_without_a_state_is_said(flags, protocol, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    changes = {"output": "a.json", "protocol": protocol, "resume": "true", "dataset": "folder:no"}
    with pytest.raises(RunError):
        evaluate.main(_argv(flags | changes))
    assert message in capsys.readouterr().out


def _untimed(path):
    """Returns the one record of a file without its times."""
    (record,) = read_records(path)
    attacks = {name: dict(found, seconds=0) for name, found in record["attacks"].items()}
    return record | {"wall_seconds": 0, "attacks": attacks}


@pytest.mark.slow  # Above a run is interrupted and resumed; test_signals.py has SIGTERM.
def test_sigterm_says_the_command_that_goes_on_to_the_same_record(
    flags, tmp_path, monkeypatch, capsys
):
    flags = flags | {"evaluation_batch_size": "3"}
    undisturbed, stopped = (flags | {"output": tmp_path / f"{name} ü.json"} for name in "ab")
    evaluate.run(_argv(undisturbed))
    calls = []

    def stop_at_second(self, attack, *rest):
        calls.append(attack.name)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return attack_batch(self, attack, *rest)

    attack_batch = Run._attack_batch
    monkeypatch.setattr(Run, "_attack_batch", stop_at_second)
    with pytest.raises(SystemExit) as exit_info:
        evaluate.run(_argv(stopped))
    assert exit_info.value.code == 143
    said = capsys.readouterr().err
    assert (
        said.startswith("stopped by SIGTERM; to continue: ascl-evaluate ") and said.count("\n") == 1
    )
    command = shlex.split(said.partition("to continue: ")[2])
    assert command == [*_argv(stopped), "--resume"]
    evaluate.run(command)
    assert _untimed(stopped["output"]) == _untimed(undisturbed["output"])


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"resume": "true"}, 2, r"--resume: expected --output, beside which.*found none"),
        (
            {"protocol": "pgd10", "adversarial_images": "a.npz"},
            2,
            r"--adversarial_images: expected one AutoAttack in --protocol; found 0",
        ),
        (
            {"protocol": "autoattack,autoattack_fast", "adversarial_images": "a.npz"},
            2,
            r"--adversarial_images: expected one AutoAttack in --protocol; found 2",
        ),
        ({"output": "a.json", "adversarial_images": "a.json"}, 2, r"another file than --output"),
        (
            {"output": "a.json", "adversarial_images": "./b/../a.json"},
            2,
            r"other file than --output",
        ),
        ({"adversarial_images": __file__}, 1, r"expected a new file, or an \.npz to replace"),
        ({"adversarial_images": "no/a.npz"}, 1, r"--adversarial_images=no/a\.npz: expected a file"),
    ],
)
def test_bad_input_gives_one_line_and_its_status(
    flags, changes, status, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    argv = _argv(flags | changes)
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, argv)
    assert exit_info.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error), error


def test_model_without_gradient_gives_one_line(flags, tmp_path, capsys):
    images = keras.Input((SIZE, SIZE, 3))
    logits = keras.layers.Dense(4)(keras.layers.Flatten()(keras.ops.round(images)))
    keras.Model(images, logits).save(tmp_path / "rounded.keras")
    argv = _argv(flags | {"model": tmp_path / "rounded.keras"})
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, argv)
    error = capsys.readouterr().err
    assert exit_info.value.code == 1 and error.count("\n") == 1
    assert "rounded.keras on folder:data: `logits_fn` must be differentiable" in error
