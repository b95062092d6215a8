"""A step of representative methods on each network of the package, narrow.

One loss of labels alone, one of both branches, and one that differentiates twice.
"""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods import factory
from ascl_tf.models import preactivation, resnet
from ascl_tf.training.fitting import compile_method
from tests.common import random_images
from tests.methods import contract

SIZE = 16
NETWORKS = {
    "preact_resnet": {"encoder": "preact_resnet", "width": 1},
    "wide_resnet": {"encoder": "wide_resnet_10_1", "width": 4},
    "resnet50": {"depth": 50, "width": 1, "stem": "imagenet"},
}


QUICK = [*((network, "at") for network in NETWORKS), ("wide_resnet", "acl")]
# Of selfie_dpe three networks, each differentiated twice: half a minute.
SLOW = [(n, name) for name in ("acl", "selfie_dpe") for n in NETWORKS if (n, name) not in QUICK]


@pytest.mark.parametrize(
    "network, name", QUICK + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW]
)
def test_step_trains_every_network(network, name, monkeypatch):
    # One block that keeps the shape, and one that changes it.
    monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, 50, (1, 0, 0, 1))
    monkeypatch.setitem(preactivation.BLOCKS_PER_STAGE, 18, (1, 0, 0, 1))
    config = contract.SMALL.replace(method=name, **NETWORKS[network])
    method = factory.make_pretrain_method(config, num_classes=3, image_shape=(SIZE, SIZE, 3))
    compile_method(method, config.run, 0.05)
    kernels = [v for v in method.encoder.trainable_variables if v.name == "kernel"]
    before = [v.numpy() for v in kernels]
    images = tf.constant((random_images(6, SIZE) * 255).astype(np.uint8))
    logs = method.train_step({"images": images, "labels": tf.constant([0, 1, 2, 0, 1, 2])})
    assert np.isfinite(float(logs["loss"])) and float(logs["gradient_norm"]) > 0
    assert all(np.any(v.numpy() != old) for v, old in zip(kernels, before, strict=True))


@pytest.mark.parametrize("size, stem", [(32, "cifar"), (64, "cifar"), (65, "imagenet")])
def test_stem_follows_the_images_unless_it_is_told(size, stem):
    network = contract.SMALL.network
    assert factory.make_encoder(network, (size, size, 3)).stem == stem
    told = contract.SMALL.replace(stem="imagenet").network
    assert factory.make_encoder(told, (size, 8, 3)).stem == "imagenet"


def test_names_make_networks():
    def made(**settings):
        return factory.make_encoder(contract.SMALL.replace(**settings).network, (32, 32, 3))

    wide = made(encoder="wide_resnet_34_10")
    assert (wide.depth, wide.factor, wide.width, wide.feature_dim) == (34, 10, 16, 640)
    assert made(encoder="wide_resnet_28_10", width=32).width == 8
    assert made(depth=50).feature_dim == 2048
    assert made(encoder="preact_resnet", depth=34).depth == 34
