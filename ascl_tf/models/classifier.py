"""Images in [0, 1] -> logits: what attacks, evaluation and export see."""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL


@keras.saving.register_keras_serializable("ascl_tf")
class Classifier(keras.Model):
    """Encoder and linear head: images [B, H, W, 3] in [0, 1] -> logits [B, num_classes].

    Args:
        encoder: images -> features, with `training` and `branch`.
        linear_head: features -> logits.
        input_mean, input_std: per-channel normalization inside the model, or None for
            none (the default), so that epsilon means the same for every model.

    Raises:
        ValueError: if only one of `input_mean` and `input_std` is given, or a
            standard deviation is not positive.
    """

    def __init__(self, encoder, linear_head, input_mean=None, input_std=None, **kwargs):
        super().__init__(**kwargs)
        _validate_normalization(input_mean, input_std)
        self.encoder, self.linear_head = encoder, linear_head
        self.input_mean, self.input_std = _floats(input_mean), _floats(input_std)

    def build(self, input_shape):
        self.image_shape = tuple(input_shape[1:])
        # Parts may come with weights; building them again would add a second set.
        if not self.encoder.built:
            self.encoder.build(input_shape)
        if not self.linear_head.built:
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
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "linear_head": keras.saving.serialize_keras_object(self.linear_head),
            "input_mean": self.input_mean,
            "input_std": self.input_std,
        }

    @classmethod
    def from_config(cls, config):
        parts = {k: keras.saving.deserialize_keras_object(config[k]) for k in _PARTS}
        return cls(**{**config, **parts})


_PARTS = ("encoder", "linear_head")


def _floats(values):
    return None if values is None else [float(value) for value in values]


def _validate_normalization(input_mean, input_std):
    if (input_mean is None) != (input_std is None):
        raise ValueError(
            "`input_mean` and `input_std` must be given together; "
            f"received {input_mean} and {input_std}."
        )
    if input_std is not None and not all(value > 0 for value in input_std):
        raise ValueError(f"`input_std` must be > 0 in each channel; received {input_std}.")
