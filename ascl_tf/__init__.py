"""Adversarial supervised contrastive learning (ASCL) in TensorFlow and Keras.

    import ascl_tf
    encoder = ascl_tf.pretrain(train, method="ascl", epochs=20, workdir="runs/mine")
    classifier = ascl_tf.finetune(encoder, train, mode="laf", workdir="runs/mine")
    records = ascl_tf.evaluate_robustness(classifier, test, ["standard", "pgd20"])
    ascl_tf.export_classifier(classifier, "exported", test=test)
    predictions = ascl_tf.classify("exported", "pictures")

    classifier = ascl_tf.load("cifar10-w16-ascl")  # trained already

Importing the package defines no flag, touches no device, and leaves TensorFlow alone until one of
these is asked for.
"""

__version__ = "1.0.0"

# Not named as a program or a room of the package is: importing that would replace the function.
_PUBLIC = {
    "ImageDataset": "ascl_tf.data.image_dataset",
    "classify": "ascl_tf.serving.prediction",
    "embed": "ascl_tf.serving.prediction",
    "evaluate_robustness": "ascl_tf.evaluation",
    "export_classifier": "ascl_tf.serving.exporting",
    "finetune": "ascl_tf.training.api",
    "list_pretrained": "ascl_tf.config.pretrained",
    "load": "ascl_tf.serving.pretrained",
    "pretrain": "ascl_tf.training.api",
}
__all__ = [*_PUBLIC]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
