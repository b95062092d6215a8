"""What is known of scl and simclr before TensorFlow is imported."""

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register

register(
    MethodSpec("scl", "ascl_tf.methods.simclr:Scl", recipe=Recipe("sgd", 0.714286, 1024)),
    MethodSpec(
        "simclr",
        "ascl_tf.methods.simclr:SimClr",
        labels=LABELS_NONE,
        recipe=Recipe("lars", 2.0, 512),
    ),
)
