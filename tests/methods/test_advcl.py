"""AdvCL: four views, pseudo-labels, three batch-norm branches, two attacks."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models import ADVERSARIAL, ADVERSARIAL_CE, CLEAN
from tests.losses.contrastive_oracles import ratio_loss
from tests.methods import contract, helpers, oracles
from tools.rows import row_config

# The 8 x 8 images hold no frequency as far as 8.
CONFIG = helpers.TINY.replace(
    method="advcl",
    batch_norm="triple",
    num_clusters="2,5",
    high_frequency_radius=2,
    advcl_ce_weight=0.3,
)
WITHOUT_LABELS = CONFIG.replace(advcl_ce_weight=0.0)


def _dataset(**settings):
    dataset = helpers.make_dataset(**settings)
    rng = np.random.default_rng(7)
    columns = [rng.integers(0, count, len(dataset)) for count in CONFIG.cluster_counts]
    return dataclasses.replace(dataset, pseudo_labels=np.stack(columns, axis=1).astype(np.int32))


def _data():
    return {name: tf.constant(column) for name, column in _dataset(num_images=6).columns.items()}


def _made(config=CONFIG):
    method = helpers.compile_tiny(helpers.make_method(config))
    views = helpers.views_of(method, _data())
    return method, views, method.make_adversarial(views)


def _projections(method, images, branch, training):
    return np.float64(method.projections(images, branch=branch, training=training))


def _contrast(four_views, temperature):
    """Loops over lists of vectors [4][B][D]."""
    rows = [(image, row) for view in four_views for image, row in enumerate(view)]
    losses = []
    for i, (image, row) in enumerate(rows):
        others = [rows[a] for a in range(len(rows)) if a != i]
        positives = [other for of, other in others if of == image]
        losses.append(ratio_loss(row, positives, [other for _, other in others], temperature))
    return losses


def _clean_projections(method, views, training):
    images = [*np.split(views["stacked_views"].numpy(), 2), views["high_frequency"].numpy()]
    return [_projections(method, view, CLEAN, training) for view in images]


def _clustering(method, images, pseudo_labels, training):
    features = method.encoder(images, branch=ADVERSARIAL_CE, training=training)
    per_head = [
        oracles.cross_entropy(np.asarray(head(features)), np.asarray(pseudo_labels)[:, m])
        for m, head in enumerate(method.pseudo_label_heads.heads)
    ]
    return [sum(losses) / len(losses) for losses in zip(*per_head, strict=True)]


def _objective(method, views, adversarial):
    perturbed = _projections(method, adversarial["images_cl"], ADVERSARIAL, True)
    clean = _clean_projections(method, views, True)
    cl_loss = np.mean(_contrast([perturbed, *clean], method.config.temperature))
    images, pseudo_labels = adversarial["images_ce"], _data()["pseudo_labels"]
    return cl_loss, np.mean(_clustering(method, images, pseudo_labels, True))


@pytest.mark.parametrize("batch_norm", ["triple", "separate", "shared"])
def test_objective_agrees_with_loops(batch_norm):
    method, views, adversarial = _made(CONFIG.replace(batch_norm=batch_norm))
    start = [variable.numpy() for variable in helpers.state(method)]
    cl_loss, ce_loss = _objective(method, views, adversarial)
    for variable, value in zip(helpers.state(method), start, strict=True):
        variable.assign(value)  # The passes above have moved the statistics.
    logs = method.train_step(_data())
    assert float(logs["cl_loss"]) == pytest.approx(cl_loss, rel=1e-5)
    assert float(logs["ce_loss"]) == pytest.approx(ce_loss, rel=1e-5)
    assert float(logs["loss"]) == pytest.approx(cl_loss + 0.3 * ce_loss, rel=1e-5)


def test_fourth_view_is_the_weak_view_without_low_frequencies():
    _, views, _ = _made()
    spectrum = np.fft.fft2(views["images"].numpy(), axes=(1, 2))
    periods = np.fft.fftfreq(8, 1 / 8)
    far = np.hypot(periods[:, None], periods[None, :]) >= 2
    want = np.fft.ifft2(spectrum * far[None, :, :, None], axes=(1, 2)).real
    np.testing.assert_allclose(views["high_frequency"], want, atol=1e-6)
    assert views["high_frequency"].numpy().min() < -0.01


def test_step_moves_all_but_the_third_set_of_the_projection_head():
    everything, moved = contract.moved_variables(CONFIG, dataset=_dataset())
    third = contract.of_branch(everything, ADVERSARIAL_CE)
    assert len(third) == 8 and len(contract.of_part(everything, "pseudo_label_heads")) == 4
    assert moved == everything - contract.of_part(third, "projection_head")


def test_without_pseudo_labels_neither_heads_nor_third_set_are_there_to_move():
    everything, moved = contract.moved_variables(WITHOUT_LABELS)
    assert not contract.of_part(everything, "pseudo_label_heads")
    assert moved == everything - contract.of_branch(everything, ADVERSARIAL_CE)


def test_shared_norm_of_the_projection_head_is_moved_as_a_whole():
    config = CONFIG.replace(projection_batch_norm="hidden_shared")
    method = helpers.compile_tiny(helpers.make_method(config))
    before = helpers.values(method)
    method.train_step(_data())
    assert helpers.changed(before, helpers.values(method)) == set(before)
    head = contract.of_part({contract.short(path) for path in before}, "projection_head")
    assert len(contract.of_branch(head, "shared")) == 4
    assert not contract.of_branch(head, ADVERSARIAL_CE)


@pytest.mark.slow  # test_changed_variables.py has what training moves.
@pytest.mark.parametrize("finetune", [False, True])
def test_methods_without_pseudo_labels_leave_the_third_set_alone(finetune):
    config = helpers.TINY.replace(method="at", batch_norm="triple", finetune="faf")
    everything, moved = contract.moved_variables(config, finetune=finetune)
    idle = contract.of_branch(everything, ADVERSARIAL_CE) | contract.of_branch(everything, CLEAN)
    assert len(idle) == 8 and moved == everything - idle


ATTACK_PASSES = {
    ("encoder", CLEAN, False),
    ("projection_head", CLEAN, False),
    ("encoder", ADVERSARIAL, False),
    ("projection_head", ADVERSARIAL, False),
    ("encoder", ADVERSARIAL_CE, False),
    ("pseudo_label_heads", None, None),
}


def _training(passes):
    return {(part, branch, None if branch is None else True) for part, branch, _ in passes}


def _of_contrast(passes):
    return {(p, b, t) for p, b, t in passes if b != ADVERSARIAL_CE and p != "pseudo_label_heads"}


def test_each_pass_has_its_branch_and_attacks_are_in_inference_mode():
    in_attacks, on_tape = contract.passes_of_step(CONFIG, _data())
    assert set(in_attacks) == ATTACK_PASSES
    assert set(on_tape) == _training(ATTACK_PASSES)


@pytest.mark.slow  # The loops have the weight, too.
def test_weight_zero_leaves_only_the_contrast():
    in_attacks, on_tape = contract.passes_of_step(WITHOUT_LABELS)
    assert set(in_attacks) == _of_contrast(ATTACK_PASSES)
    assert set(on_tape) == _training(_of_contrast(ATTACK_PASSES))
    method = helpers.make_method(WITHOUT_LABELS)
    assert method.pseudo_label_counts == () and method.term_names == ("cl_loss",)


def test_clean_anchors_are_computed_once_for_all_attack_steps(monkeypatch):
    method, views, _ = _made(CONFIG.replace(num_steps_cl=4))
    passes = []
    projections = method.projections

    def counting(images, *, branch, training):
        passes.append(branch)
        return projections(images, branch=branch, training=training)

    monkeypatch.setattr(method, "projections", counting)
    method.make_adversarial(views)
    assert passes == [CLEAN] + 4 * [ADVERSARIAL]


@pytest.fixture(scope="module")
def trained():
    config = CONFIG.replace(num_steps_cl=6)
    method = contract.trained_method(config, dataset=_dataset())
    views = helpers.views_of(method, _data())
    return method, views, method.make_adversarial(views)


EPSILON = float(CONFIG.epsilon)


@pytest.mark.slow  # test_attacks.py has the like of ASCL.
def test_contrastive_attack_beats_random_perturbations(trained):
    method, views, adversarial = trained
    clean = _clean_projections(method, views, False)

    def objective(images):
        perturbed = _projections(method, images, ADVERSARIAL, False)
        return _contrast([perturbed, *clean], 0.5)

    natural, attacked = views["images"], adversarial["images_cl"]
    assert contract.attack_gain(objective, natural, attacked, epsilon=EPSILON) > 1e-3


@pytest.mark.slow  # The objective equals its oracle.
def test_pseudo_label_attack_beats_random_perturbations(trained):
    method, views, adversarial = trained

    def objective(images):
        return _clustering(method, images, views["pseudo_labels"], False)

    natural, attacked = views["images"], adversarial["images_ce"]
    assert contract.attack_gain(objective, natural, attacked, epsilon=EPSILON) > 1e-3


def test_two_perturbations_start_from_unrelated_points():
    _, views, start = _made(CONFIG.replace(num_steps_cl=0))
    a, b = [start[name].numpy() - views["images"].numpy() for name in ("images_cl", "images_ce")]
    inside = (np.abs(a) > 1e-6) & (np.abs(b) > 1e-6)
    assert abs(np.corrcoef(a[inside], b[inside])[0, 1]) < 0.15


def test_two_attacks_are_the_one_on_the_summed_loss():
    """Steps of the joint ascent, with the sum's gradient by either perturbation, by hand."""
    method, views, start = _made(CONFIG.replace(num_steps_cl=0))
    images, labels = views["images"], views["pseudo_labels"]
    strong = tf.concat([views["stacked_views"], views["high_frequency"]], axis=0)
    clean = method.projections(strong, branch=CLEAN, training=False)
    x_cl, x_ce = start["images_cl"], start["images_ce"]
    for _ in range(3):
        with tf.GradientTape() as tape:
            tape.watch([x_cl, x_ce])
            perturbed = method.projections(x_cl, branch=ADVERSARIAL, training=False)
            ce = method._clustering(x_ce, labels, training=False)
            total = tf.reduce_mean(method._contrast(perturbed, clean)) + 0.3 * tf.reduce_mean(ce)
        step = 2 / 255
        x_cl, x_ce = [
            tf.clip_by_value(
                tf.clip_by_value(x + step * tf.sign(g), images - EPSILON, images + EPSILON), 0, 1
            )
            for x, g in zip((x_cl, x_ce), tape.gradient(total, [x_cl, x_ce]), strict=True)
        ]
    method.config = CONFIG.replace(num_steps_cl=3)
    adversarial = method.make_adversarial(views)
    np.testing.assert_allclose(adversarial["images_cl"], x_cl, atol=1e-6)
    np.testing.assert_allclose(adversarial["images_ce"], x_ce, atol=1e-6)


@pytest.mark.slow  # Its contrastive term is ACL's, whose replicas are compared.
@contract.eagerly_and_in_graph
def test_two_replicas_equal_one(in_graph):
    loss, gradient = contract.replica_difference(CONFIG, dataset=_dataset(), in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9


def test_true_labels_take_no_part():
    logs = []
    for labels in ((0, 1, 0, 2, 1, 1), (-1,) * 6):
        method = helpers.compile_tiny(helpers.make_method(CONFIG))
        data = {**_data(), "labels": tf.constant(labels)}
        logs.append({k: float(v) for k, v in method.train_step(data).items()})
    assert logs[0] == logs[1] and "standard_accuracy" not in logs[0]


def test_recipe_has_the_settings_that_equal_the_published_run():
    scale = 0.5 / 0.07
    config = row_config("table1/advcl")
    found = (config.advcl_ce_weight, config.learning_rate, config.weight_decay)
    np.testing.assert_allclose(found, (0.2 / scale, 0.5 * scale, 1e-4 / scale), rtol=1e-6)
