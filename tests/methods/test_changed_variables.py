"""What one step of each method moves, and what it leaves alone bit for bit."""

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.methods.step_data import Outputs, Term
from tests.methods import helpers
from tests.methods.contract import moved_variables, of_branch, of_part


@pytest.mark.parametrize("name", ["standard", "at", "trades", "mart"])
def test_one_shot_method_moves_all_but_the_clean_branch(name):
    everything, moved = moved_variables(helpers.TINY.replace(method=name))
    assert len(of_branch(everything, "clean")) == 4
    assert moved == everything - of_branch(everything, "clean")


@pytest.mark.parametrize("mode", cfg.FINETUNE_MODES)
def test_fine_tuning_moves_what_its_first_letter_says(mode):
    everything, moved = moved_variables(helpers.TINY.replace(finetune=mode), finetune=True)
    assert of_part(everything, "encoder") and everything > of_part(everything, "encoder")
    expected = everything - of_branch(everything, "clean")
    assert moved == (
        expected if mode.startswith("f") else expected - of_part(everything, "encoder")
    )


@pytest.mark.parametrize("loss", ["trades", "ce"])
def test_frozen_encoder_stays_bit_for_bit_over_three_steps(loss):
    config = helpers.TINY.replace(finetune="laf", finetune_loss=loss)
    method = helpers.compile_tiny(helpers.make_method(config, finetune=True))
    before = [w.numpy().tobytes() for w in method.encoder.weights]
    helpers.fit(method, helpers.make_dataset(), num_steps=3, eagerly=True)
    assert [w.numpy().tobytes() for w in method.encoder.weights] == before


def test_ascl_with_every_term_moves_every_variable():
    everything, moved = moved_variables(helpers.TINY)
    assert moved == everything


def test_ascl_without_supervised_term_leaves_the_clean_branch_alone():
    everything, moved = moved_variables(helpers.TINY.replace(lambda_2=0.0))
    assert len(of_branch(everything, "clean")) == 8
    assert moved == everything - of_branch(everything, "clean")


@pytest.mark.parametrize("cl_mode", ["a2s", "ds"])
def test_contrastive_term_with_clean_views_trains_the_clean_branch(cl_mode):
    everything, moved = moved_variables(helpers.TINY.replace(lambda_2=0.0, cl_mode=cl_mode))
    assert moved == everything


def test_ascl_without_contrastive_terms_leaves_projection_head_and_clean_branch_alone():
    everything, moved = moved_variables(helpers.TINY.replace(lambda_1=0.0, lambda_2=0.0))
    assert moved == everything - of_branch(everything, "clean") - of_part(
        everything, "projection_head"
    )


def test_shared_batch_norm_is_one_set_that_every_pass_moves():
    everything, moved = moved_variables(helpers.TINY.replace(batch_norm="shared"))
    assert not any("/clean/" in path or "/adversarial/" in path for path in everything)
    assert moved == everything


def test_momentum_of_an_idle_branch_is_not_kept():
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="at")))
    assert not any("clean" in v.path for v in method.step_variables())
    assert len(method.step_variables()) == 5  # Kernel, gamma, beta; kernel and bias of the head.


def test_variable_that_the_loss_does_not_reach_is_named():
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="standard")))

    def forward(views, adversarial):
        features = method.encoder(views["images"], training=True)
        return Outputs({"standard_loss": Term(features[:, 0])})

    method.forward = forward
    with pytest.raises(ValueError, match=r"does not depend on: .*linear_head/dense/kernel"):
        method.train_step(helpers.make_data())


def test_trainable_variable_in_two_layers_is_refused():
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    method.linear_head = method.encoder
    with pytest.raises(ValueError, match="two of the trained layers"):
        method.step_variables()


def test_statistics_of_the_adversarial_branch_move_by_a_tenth_towards_the_batch():
    config = helpers.TINY.replace(method="standard", weak_augmentation="none")
    method = helpers.compile_tiny(helpers.make_method(config))
    images = helpers.make_data()["images"].numpy() / np.float32(255)
    outputs = method.encoder.conv(images).numpy().astype(np.float64)
    statistics = method.encoder.bn.branches["adversarial"]
    before = statistics.moving_mean.numpy().astype(np.float64)
    method.train_step(helpers.make_data())
    expected = 0.9 * before + 0.1 * outputs.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(statistics.moving_mean.numpy(), expected, rtol=1e-5, atol=1e-6)
