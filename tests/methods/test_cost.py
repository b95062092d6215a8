"""The counted cost of a step against what its passes add up to by the methods' papers.

Of an image: a pass 1, an attack step 2 (there and back to the image), a pass of the step 3 (back
to the weights, too), and 1 for the accuracy on natural images where there is a classifier.
"""

import pytest
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.methods import step_data
from ascl_tf.methods.base import Method
from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.methods.step_data import Outputs, Purpose, Term
from ascl_tf.models import ADVERSARIAL


@pytest.fixture(autouse=True)
def _no_views(monkeypatch):
    """An augmentation costs nothing here, and is long to trace."""
    monkeypatch.setattr(step_data, "_strong_view", lambda images, *_, **__: images)


CONFIG = Config().replace(
    num_steps_at=10, num_steps_cl=5, num_steps_ascl=5, num_steps_pretext=10, finetune_num_steps=10
)
AT, CL = 10 * 2, 5 * 2  # The attack of one image.
EVERY_SOURCE = ("attack_source_at", "attack_source_cl", "attack_source_ascl")
# ASCL: the classification term, the contrastive one, and the supervised one: clean anchors, the
# attack, two clean views and the perturbed image.
ASCL = (1 + AT + 3) + 2 * (CL + 3) + (2 + CL + 3 * 3)

PRETRAIN = [
    ("standard", {}, 1 + 3),
    ("standard", {"awp_gamma": 0.01}, 1 + 2 * 3),
    ("at", {}, 1 + AT + 3),
    ("at", {"at_attack": "fgsm_rs"}, 1 + 2 + 3),
    ("at", {"awp_gamma": 0.01}, 1 + AT + 2 * 3),
    # TRADES holds the natural logits of its attack constant.
    ("trades", {}, 1 + (1 + AT) + 2 * 3),
    ("trades", {"awp_gamma": 0.01}, 1 + (1 + AT) + 2 * 2 * 3),
    ("mart", {}, 1 + AT + 2 * 3),
    ("mart", {"awp_gamma": 0.01}, 1 + AT + 2 * 2 * 3),
    ("rotation_at", {}, 1 + 4 * (AT + 3)),
    # The natural images: for the attack, then in the step.
    ("wscat", {}, 1 + (1 + AT) + 2 * 3),
    # The natural logits of the attack, where labels are missing, and those of the step.
    ("at", {"unlabeled_kl_weight": 1.0}, 1 + AT + 2 * 3),
    ("at", {"unlabeled_kl_weight": 1.0, "labeled_fraction": 0.5}, 1 + (1 + AT) + 2 * 3),
    ("at", {"labeled_fraction": 0.5, "pseudo_label_classifier": "model"}, 1 + AT + 3),
    ("simclr", {}, 2 * 3),
    ("scl", {}, 2 * 3),
    # The second view is the attack's constant target.
    ("rocl", {}, 1 + CL + 3 * 3),
    ("acl", {"acl_mode": "ds"}, 2 * (CL + 3) + 2 * 3),
    ("acl", {"acl_mode": "a2a"}, 2 * (CL + 3)),
    ("acl", {"acl_mode": "a2s"}, (CL + 3) + (1 + 3)),
    # No way leads back into the averaged encoder, which sees the second view.
    ("dynacl", {}, 2 * CL + 2 * (3 + 1)),
    ("dynacl", {"dynacl_momentum": 0.0}, 2 * (CL + 3) + 2 * 3),
    # TRADES without an accuracy.
    ("dynacl_pp", {}, (1 + AT) + 2 * 3),
    # Three clean views, each once as an anchor and once in the step.
    ("advcl", {}, 3 * (1 + 3) + 2 * (CL + 3)),
    ("advcl", {"advcl_ce_weight": 0.0}, 3 * (1 + 3) + (CL + 3)),
    # Sixteen patches are an image.
    ("selfie", {}, AT + 2 * 3),
    ("selfie_dpe", {"dpe_weight": 0.0}, 3 * (AT + 2 * 3)),
    # The penalty's gradient goes through the way back as well: all products once more.
    ("selfie_dpe", {}, 3 * (2 * AT + 3 + 2 * 3)),
    ("ascl", {}, ASCL),
    ("ascl", {"lambda_1": 0.0, "lambda_2": 0.0}, 1 + AT + 3),
    ("ascl", {"lambda_2": 0.0}, (1 + AT + 3) + 2 * (CL + 3)),
    ("ascl", {"lambda_1": 0.0}, (1 + AT + 3) + (2 + CL + 3 * 3)),
    ("ascl", {"lambda_2": 0.0, "cl_mode": "a2s"}, (1 + AT + 3) + (CL + 3) + (2 + 2 * 3)),
    ("ascl", {"awp_gamma": 0.01}, ASCL + 3 + 2 * 3 + 3 * 3),
    # One more perturbed view; its own denominator needs no clean one.
    ("ascl", {"ascl_loss": "adversarial_pair_clean"}, ASCL + CL + 3),
    ("ascl", {"ascl_loss": "adversarial_pair"}, ASCL + CL + 3 - (2 + 2 * 3)),
    ("ascl", {"shared_perturbation": "ascl"}, ASCL - (2 + CL + 3)),
    ("ascl", {"at_attack": "fgsm_rs"}, ASCL - 9 * 2),
    ("ascl", {"at_attack": "fgsm_rs", "shared_perturbation": "ascl"}, ASCL - 9 * 2 - (2 + CL + 3)),
    (
        "ascl",
        {"at_attack": "fgsm_rs", "shared_perturbation": "all", "cl_mode": "a2s"},
        1 + 2 + 3 + 2 * 3,
    ),
    ("ascl", {"attack_source_cl": "ce", "attack_source_ascl": "ce"}, ASCL - 2),
    # Where labels are missing, natural logits of what is attacked by the cross-entropy.
    ("ascl", {"labeled_fraction": 0.5}, ASCL + 1),
    ("ascl", {"labeled_fraction": 0.5, "attack_source_at": "cl"}, ASCL),
    ("ascl", {"labeled_fraction": 0.5} | dict.fromkeys(EVERY_SOURCE, "ascl"), ASCL),
    ("ascl", {"labeled_fraction": 0.5} | dict.fromkeys(EVERY_SOURCE, "ce"), ASCL - 2 + 3),
]

FINETUNE = [
    ({"finetune": "fsf"}, 1 + 3),
    ({"finetune": "faf"}, 1 + (1 + AT) + 2 * 3),
    ({"finetune": "faf", "finetune_loss": "ce"}, 1 + AT + 3),
    ({"finetune": "faf", "finetune_loss": "ce", "labeled_fraction": 0.5}, 1 + AT + 3),
    # Frozen: natural images once for everything, perturbed ones there and not back.
    ({"finetune": "lsf"}, 1),
    ({"finetune": "laf"}, 1 + AT + 1),
    ({"finetune": "laf", "finetune_loss": "ce"}, 1 + AT + 1),
    # Features from before the first step.
    ({"finetune": "lsf", "finetune_augmentation": "none"}, 0),
    ({"finetune": "laf", "finetune_augmentation": "none"}, AT + 1),
]


def _name(value):
    return "-".join(map(str, value.values())) if isinstance(value, dict) else None


# Of each method the settings that it begins with, but for the three networks of one.
_IN_DEFAULT_RUN = [case for case in PRETRAIN if not case[1] and case[0] != "selfie_dpe"]


@pytest.mark.parametrize(
    "method, changes, units",
    [
        pytest.param(*case, marks=() if case in _IN_DEFAULT_RUN else pytest.mark.slow)
        for case in PRETRAIN
    ],
    ids=_name,
)
def test_pre_training_costs_its_passes(method, changes, units):
    assert count_step(CONFIG.replace(method=method, **changes)) == units


@pytest.mark.parametrize("changes, units", FINETUNE, ids=_name)
def test_fine_tuning_costs_its_passes(changes, units):
    assert count_step(CONFIG.replace(**changes), make=make_finetune_method) == units


class Own(Method):
    """A method that the package does not know: quarters of images, and a penalty by weights."""

    has_classifier = False
    reports_robust_accuracy = False
    term_names = ("own_loss",)
    is_attacked, is_penalized = False, False

    def make_views(self, batch):
        return {"images": batch.images, "seed": batch.seeds(Purpose.ATTACK_AT)}

    def make_adversarial(self, views):
        if not self.is_attacked:
            return {}
        # In a graph of its own, whose loop is not unrolled.
        attack = tf.function(self._attack, autograph=False)
        return {"images": attack(views["images"], views["seed"])}

    def _attack(self, images, seed):
        return self.perturb(self._energy, images, num_steps=7, seed=seed)

    def forward(self, views, adversarial):
        images = adversarial.get("images", views["images"])
        loss = self._energy(images[:, ::2, ::2])
        if self.is_penalized:
            loss += self._slope(images)
        return Outputs({"own_loss": Term(loss)})

    def _slope(self, images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            energy = self._energy(images)
        return tf.reduce_sum(tape.gradient(energy, images) ** 2, axis=[1, 2, 3])

    def _energy(self, images):
        features = self.encoder(images, branch=ADVERSARIAL, training=True)
        return tf.reduce_sum(features**2, axis=1)


@pytest.mark.parametrize(
    "settings, units",
    [
        ({}, 3 / 4),
        ({"is_attacked": True}, 7 * 2 + 3 / 4),
        # There and back, and the gradients of both by what they read and by the weights.
        ({"is_penalized": True}, 2 + 2 * 2 + 3 / 4),
    ],
    ids=_name,
)
def test_method_from_outside_is_counted_as_it_is(settings, units):
    def make(config, *, num_classes, image_shape, encoder):
        method = type("Mine", (Own,), settings)(encoder=encoder, config=config)
        method.build((None, *image_shape))
        return method

    assert count_step(CONFIG, make=make) == units


def test_cost_depends_on_neither_number_of_classes_nor_size():
    changes = {"method": "selfie_dpe", "num_steps_pretext": 1}
    expected = 3 * (2 * 2 + 3 + 2 * 3)
    found = count_step(CONFIG.replace(**changes), num_classes=5, image_shape=(12, 12, 3))
    assert found == expected
