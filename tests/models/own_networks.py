"""Small Keras models as users write them, for what takes any encoder."""

import keras

L = keras.layers
SIZE = 8


def make_functional(size=SIZE, dropout=0.0):
    """Convolution, batch norm, a nested model with another one, pooling; features [B, 4]."""
    images = keras.Input((size, size, 3))
    x = L.Conv2D(4, 3, padding="same", name="conv")(images)
    x = L.ReLU()(L.BatchNormalization(momentum=0.5, name="norm")(x))
    inner = keras.Sequential([keras.Input((size, size, 4)), L.BatchNormalization(name="inner")])
    x = L.Add()([x, inner(x)])
    if dropout:
        x = L.Dropout(dropout, name="dropout")(x)
    return keras.Model(images, L.GlobalAveragePooling2D()(keras.ops.square(x)))


def make_dropped():
    """As `make_functional`, with dropout."""
    return make_functional(dropout=0.5)


def make_sequential():
    """Built when it is called first; statistics of one batch norm."""
    return keras.Sequential(
        [
            L.Conv2D(4, 3, use_bias=False),
            L.BatchNormalization(scale=False, name="norm"),
            L.ReLU(),
            L.GlobalMaxPooling2D(),
        ]
    )


class Subclassed(keras.Model):
    """Layers in attributes, and a `call` that Keras cannot see into."""

    def __init__(self, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = L.Conv2D(4, 3), L.BatchNormalization(name="norm")
        self.dropout, self.pool = L.Dropout(dropout), L.GlobalMaxPooling2D()

    def call(self, images, training=False):
        x = self.norm(self.conv(images), training=training)
        return self.pool(self.dropout(keras.ops.relu(x), training=training))


def make_mobile_net():
    """A narrow MobileNetV2, 52 batch norm layers; features [B, 1280]."""
    return keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
