# %% [markdown]
# # Your own backbone
#
# You have a Keras model that turns images into features. You will train it adversarially, as it is, and measure the
# classifier that comes out.
#
# This takes about two minutes on two CPU cores. The images are scikit-learn's handwritten digits, which come with it.

# %%
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import ascl_tf

digits = load_digits()
images = np.repeat(digits.images[..., None] / 16, 3, axis=3)
order = np.random.default_rng(0).permutation(len(images))
train, test = (
    ascl_tf.ImageDataset.from_arrays(images[part], digits.target[part], name="digits")
    for part in (order[:1500], order[1500:])
)

# %% [markdown]
# ## The backbone
#
# Any Keras model from images [B, H, W, 3] in [0, 1] to features [B, F]. It has no classifier at its end; that is added.
# Batch norm, dropout and residual connections are welcome.


# %%
def make_backbone():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(images)
    for filters in (64, 128):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(images, layers.Flatten()(x), name="backbone")


backbone = make_backbone()
print(backbone.count_params(), "weights,", backbone.output_shape[1], "features")

# %% [markdown]
# ## Training
#
# `encoder=` takes the model, and trains a copy: yours stays as it is. Two images are tried before the run begins; what does
# not fit, such as a first layer for pixels in 0..255, is refused in one line.

# %%
EPSILON, STEP = "0.1", "0.025"
classifier = ascl_tf.pretrain(
    train,
    method="trades",
    encoder=backbone,
    epochs=15,
    batch_norm="shared",
    weak_augmentation="none",
    global_batch_size=64,
    epsilon=EPSILON,
    step_size=STEP,
    num_steps_at=5,
    validation_protocol=f"pgd10@epsilon={EPSILON},step_size={STEP}",
    workdir="runs/digits_backbone",
)

# %% [markdown]
# ## The result
#
# The classifier is a Keras model from images to logits; `classifier.encoder` is the trained backbone. It was right on 99.66 % of
# the test images for us, and on 90.57 % under attack.

# %%
protocols = ["standard", f"pgd20@epsilon={EPSILON},step_size={STEP}"]
for record in ascl_tf.evaluate_robustness(classifier, test, protocols):
    print(f"{record['protocol']:35} {record['robust_accuracy']:6.2f} %")
print("features", classifier.encoder(test.images[:2] / np.float32(255)).shape)

# %% [markdown]
# ## The same from the command line
#
# Put `make_backbone` into a file, say `mine.py`, and name it:
#
# ```sh
# python -m ascl_tf.train --encoder=mine:make_backbone --method=ascl --stage=all --workdir=runs/mine
# ```
#
# Batch-norm branches, models of `keras.applications`, and all that is checked: [Your own network](../own_network.md).
