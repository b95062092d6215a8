"""Images in [0, 1] -> logits: what attacks, evaluation and export see."""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL


@keras.saving.register_keras_serializable("ascl_tf")
class Classifier(keras.Model):
    """Encoder and linear head: images [B, H, W, 3] in [0, 1] -> logits [B, num_classes].

    Args:
        encoder: images -> features, with `training` and `branch`.
        linear_head: features -> logits.
        input_mean, input_std: per-channel normalisation inside the model, or None for
            none (the default), so that epsilon means the same for every model.
    """

    def __init__(self, encoder, linear_head, input_mean=None, input_std=None, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.linear_head = encoder, linear_head
        self.input_mean, self.input_std = input_mean, input_std

    def build(self, input_shape):
        self.encoder.build(input_shape)
        self.linear_head.build(self.encoder.compute_output_shape(input_shape))

    def call(self, images, training=False, branch=ADVERSARIAL):
        return self.linear_head(self.features(images, training=training, branch=branch))

    def features(self, images, training=False, branch=ADVERSARIAL):
        """Returns the encoder's pooled features [B, F] of images in [0, 1]."""
        if self.input_mean is not None:
            images = (images - list(self.input_mean)) / list(self.input_std)
        return self.encoder(images, training=training, branch=branch)

    def get_config(self):
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "linear_head": keras.saving.serialize_keras_object(self.linear_head),
            "input_mean": self.input_mean,
            "input_std": self.input_std,
        }

    @classmethod
    def from_config(cls, config):
        parts = {k: keras.saving.deserialize_keras_object(config.pop(k)) for k in _PARTS}
        return cls(**parts, **config)


_PARTS = ("encoder", "linear_head")
