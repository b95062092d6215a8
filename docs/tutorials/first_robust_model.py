# %% [markdown]
# # Your first robust model
#
# You will train the same network twice, once in the usual way and once adversarially, attack both, and see the
# difference. The images are scikit-learn's 1,797 handwritten digits, which come with it: nothing is downloaded.
#
# This takes about four minutes on two CPU cores, most of it the training of the second network.

# %% [markdown]
# ## The images
#
# `ImageDataset.from_arrays` takes images [N, height, width, 3], as integers from 0 to 255 or as floats in [0, 1]. The
# digits are 8 x 8 gray pixels from 0 to 16, so they are scaled, and their one channel is repeated.

# %%
import numpy as np
from sklearn.datasets import load_digits

import ascl_tf

digits = load_digits()
images = np.repeat(digits.images[..., None] / 16, 3, axis=3)
order = np.random.default_rng(0).permutation(len(images))
chosen, others = order[:1500], order[1500:]
train = ascl_tf.ImageDataset.from_arrays(images[chosen], digits.target[chosen], name="digits")
test = ascl_tf.ImageDataset.from_arrays(images[others], digits.target[others], name="digits")
print(train.images.shape, test.images.shape, test.class_names)

# %% [markdown]
# ## Two trainings
#
# An attack may move each pixel by at most `epsilon`. For photographs the usual radius is 8/255, which no one sees.
# Digits are black and white, and need a larger one: a tenth of the range.
#
# `method="standard"` minimizes the loss of the images. `method="at"`, adversarial training, minimizes the loss of the
# images *after an attack* of `num_steps_at` steps. Everything else is equal.

# %%
EPSILON, STEP = "0.1", "0.025"
SETTINGS = {
    "epochs": 10,
    "width": 8,  # A narrow ResNet-18: 64 in the paper.
    "batch_norm": "shared",
    "weak_augmentation": "none",  # A mirrored digit is no digit.
    "global_batch_size": 128,
    "epsilon": EPSILON,
    "step_size": STEP,
    "num_steps_at": 5,
    "validation_protocol": f"pgd10@epsilon={EPSILON},step_size={STEP}",
}

standard = ascl_tf.pretrain(train, method="standard", workdir="runs/digits_standard", **SETTINGS)
robust = ascl_tf.pretrain(train, method="at", workdir="runs/digits_at", **SETTINGS)

# %% [markdown]
# Each epoch prints a line. SA (standard accuracy) is the share of images that are classified right, RA (robust accuracy)
# the share that stays right under attack. A tenth of the training images is held out for validation; the model that
# comes back is the one with the highest RA there.
#
# ## How robust are they?
#
# A *protocol* is a named attack with fixed numbers, and behind the `@` stand those that are not its own. `standard`
# attacks nothing, `pgd20` follows the gradient for 20 steps, `autoattack_fast` is the first half of AutoAttack, the
# field's standard. An image counts as robust if it is right without and with the attack.

# %%
PROTOCOLS = [
    "standard",
    f"pgd20@epsilon={EPSILON},step_size={STEP}",
    f"autoattack_fast@epsilon={EPSILON}",
]
for name, model in {"standard": standard, "robust": robust}.items():
    records = ascl_tf.evaluate_robustness(model, test, PROTOCOLS, num_images=100)
    print(f"{name:9}", *(f"{record['robust_accuracy']:6.2f} %" for record in records))

# %% [markdown]
# It printed this for us:
#
# | | no attack | PGD-20 | AutoAttack, first half |
# |---|---|---|---|
# | standard | 97 % | 14 % | 7 % |
# | robust | 99 % | 79 % | 76 % |
#
# Both are right on clean digits. The standard model loses nearly all of them to an attack, the robust one keeps most. On
# photographs this robustness usually costs some accuracy without an attack.
#
# ## What does an attack look like?
#
# `linf_pgd` maximizes any function of the images, here the loss of the standard model, one value per image.

# %%
import matplotlib.pyplot as plt
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.losses import cross_entropy_loss

clean = tf.constant(test.images[:6] / 255, tf.float32)
labels = tf.constant(test.labels[:6])


def loss(images):
    return cross_entropy_loss(standard(images, training=False), labels)


adversarial = linf_pgd(loss, clean, epsilon=0.1, step_size=0.025, num_steps=20)

figure, axes = plt.subplots(2, 6, figsize=(9, 4))
for row, shown in zip(axes, (clean, adversarial), strict=True):
    by_standard, by_robust = (
        np.argmax(model(shown, training=False), axis=1) for model in (standard, robust)
    )
    for number, axis in enumerate(row):
        axis.imshow(shown[number], vmin=0, vmax=1)
        axis.set_title(f"standard: {by_standard[number]}\nrobust: {by_robust[number]}")
        axis.axis("off")
figure.tight_layout()
figure.savefig("digits.png")

# %% [markdown]
# ![Six digits, clean above and attacked below, and what both models take them for](first_robust_model.png)
#
# The upper row is clean, the lower one attacked: pixels get tinted, and no more. The standard model takes most of these digits for
# others, the robust one seldom does. They were made against the standard model; the table above has each model under attacks of
# its own.
#
# ## Where to go on
#
# * `tensorboard --logdir runs/digits_at/tensorboard` shows the training, with the attacked images.
# * Replace `"at"` by `"trades"` or `"mart"`, or pre-train without an end in mind: `method="ascl"`, then
#   `ascl_tf.finetune(encoder, train)`. [Training](../training.md) has all methods.
# * [From your pictures to a served model](own_pictures.md) does the same with a folder of pictures.
# * [What the numbers mean](../concepts.md) explains why AutoAttack stands beside PGD.
