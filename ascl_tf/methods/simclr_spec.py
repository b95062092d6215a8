"""What is known of scl and simclr before TensorFlow is imported."""

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, register

register(
    MethodSpec("scl", "ascl_tf.methods.simclr:Scl"),
    MethodSpec("simclr", "ascl_tf.methods.simclr:SimClr", labels=LABELS_NONE),
)
