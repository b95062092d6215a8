"""Where memory is short, one line says of what, and what to lower."""

import types

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import analyze, evaluate
from ascl_tf.errors import RunError
from ascl_tf.process.failures import memory_errors_as_one_line
from ascl_tf.training import trained, validation
from tests.methods import helpers

NO_MEMORY = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
LINE = "`evaluation_batch_size`: expected a batch .* found that 7 images {} do not. Lower `eval"


def _raise(*arguments, **settings):
    raise NO_MEMORY


@pytest.mark.parametrize("error", [NO_MEMORY, MemoryError("Unable to allocate 9 GiB")])
def test_lack_of_memory_says_what_to_lower(error):
    with pytest.raises(RunError, match=LINE.format("at width 64")) as e:
        with memory_errors_as_one_line(7, "at width 64"):
            raise error
    assert len(str(e.value).splitlines()) == 1


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), memory_errors_as_one_line(7, ""):
        raise tf.errors.InvalidArgumentError(None, None, "shapes")


@pytest.fixture
def stubs(monkeypatch):
    """Puts a model and images without files into both programs, and no memory."""
    images = types.SimpleNamespace(
        images=np.zeros((1, 8, 6, 3), np.uint8),
        labels=np.zeros(1, np.int32),
        name="noise",
        sha256="0",
        num_classes=3,
        class_names=None,
    )
    model = types.SimpleNamespace(logits_fn=lambda images: tf.reduce_mean(images, [1, 2]))
    for program in (evaluate, analyze):
        monkeypatch.setattr(program, "load_images", lambda config, **settings: images)
        monkeypatch.setattr(program, "check_fit", lambda *arguments, **settings: None)
        monkeypatch.setattr(program, "model_sha256", lambda path: "0")
    monkeypatch.setattr(evaluate, "describe_models", lambda paths: {"model_sha256": "0"})
    monkeypatch.setattr(evaluate, "load_logits_function", lambda *a, **k: model.logits_fn)
    monkeypatch.setattr(evaluate, "evaluate_robustness", _raise)
    monkeypatch.setattr(evaluate, "transfer_matrix", _raise)
    monkeypatch.setattr(analyze, "load_model", lambda *a, **k: model)
    monkeypatch.setattr(analyze, "MEASURE", {"tsne": _raise})


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        (evaluate, ["--model=a", "--training_split="]),
        (evaluate, ["--targets=a=b,c=d", "--training_split="]),
        (analyze, ["--models=a=b", "--output=out"]),
    ],
)
def test_programs_say_what_to_lower(program, flags, stubs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        program.run(["program", "--evaluation_batch_size=7", *flags])
    error = capsys.readouterr().err
    assert exit_info.value.code == 1 and error.count("\n") == 1
    assert "found that 7 images of 8 x 6 pixels do not" in error


def test_run_names_its_width(monkeypatch):
    monkeypatch.setattr(trained, "evaluate_robustness", _raise)
    monkeypatch.setattr(validation, "evaluate_robustness", _raise)
    config = helpers.TINY.replace(evaluation_batch_size=7, validation_protocol="fgsm")
    with pytest.raises(RunError, match=LINE.format("at width 64")):
        trained.measure(config, None, None, [], "finetune_laf, best", None)
    validate = validation.make_validation(
        helpers.make_method(finetune=True),
        helpers.make_dataset(),
        config.evaluation,
        config.network,
        config.run,
    )
    with pytest.raises(RunError, match=LINE.format("at width 64")):
        validate()
