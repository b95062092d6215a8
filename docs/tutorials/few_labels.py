# %% [markdown]
# # Few labels
#
# Images are cheap and labels are not. You have 1,500 images, and labels for 30 of them. You will pre-train an encoder on all
# images without labels, train a classifier with the 30 labels, and compare it with one that saw nothing but these 30.
#
# This takes about five minutes on two CPU cores. The images are scikit-learn's handwritten digits, which come with it.

# %%
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import ascl_tf

digits = load_digits()
images = np.repeat(digits.images[..., None] / 16, 3, axis=3)
order = np.random.default_rng(0).permutation(len(images))
train, test = order[:1500], order[1500:]
few = np.concatenate([train[digits.target[train] == digit][:3] for digit in range(10)])

unlabeled = ascl_tf.ImageDataset.from_arrays(images[train], name="digits")
labeled, test = (
    ascl_tf.ImageDataset.from_arrays(images[part], digits.target[part], name="digits")
    for part in (few, test)
)
print(unlabeled.num_labeled, labeled.num_labeled, test.num_labeled)


def make_network():
    images = x = keras.Input((8, 8, 3))
    for filters, strides in ((32, 1), (64, 2), (128, 2)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, layers.Flatten()(x))


# %% [markdown]
# ## The labels alone
#
# Adversarial training on 30 images. They leave none for validation, so the last checkpoint counts.

# %%
ATTACK = {"epsilon": "0.1", "step_size": "0.025"}
FEW = {"validation_fraction": 0.0, "global_batch_size": 30}

labels_alone = ascl_tf.pretrain(
    labeled,
    method="at",
    encoder=make_network(),
    batch_norm="shared",
    weak_augmentation="none",
    epochs=100,
    num_steps_at=5,
    workdir="runs/few_at",
    **ATTACK,
    **FEW,
)

# %% [markdown]
# ## Pre-training without labels
#
# `acl` (adversarial contrastive learning) makes two views of each image, pulls them together, and pushes the views of all
# other images away, both clean and attacked. It asks for no label. The crops of a view keep at least `min_crop_area` of a
# digit.

# %%
encoder = ascl_tf.pretrain(
    unlabeled,
    method="acl",
    encoder=make_network(),
    epochs=25,
    global_batch_size=125,
    weak_augmentation="none",
    min_crop_area=0.6,
    num_steps_cl=3,
    validation_fraction=0.0,
    workdir="runs/few_acl",
    **ATTACK,
)

# %% [markdown]
# ## Fine-tuning with 30 labels
#
# `laf` trains the linear layer alone, on attacked images. The encoder stays as it is.

# %%
pretrained = ascl_tf.finetune(
    encoder,
    labeled,
    mode="laf",
    finetune_epochs=60,
    finetune_augmentation="none",
    workdir="runs/few_laf",
    **ATTACK,
    **FEW,
)

# %% [markdown]
# ## What the images without labels were worth

# %%
PROTOCOLS = ["standard", "pgd20@epsilon=0.1,step_size=0.025"]
for name, model in {"labels alone": labels_alone, "pre-trained": pretrained}.items():
    records = ascl_tf.evaluate_robustness(model, test, PROTOCOLS)
    print(f"{name:12}", *(f"{record['robust_accuracy']:6.2f} %" for record in records))

# %% [markdown]
# | | no attack | PGD-20 |
# |---|---|---|
# | 30 labels alone | 73 % | 29 % |
# | pre-trained on 1,500 images without labels | 83 % | 57 % |
#
# That is what it printed for us; other first weights move it by a few points. `faf`, which trains all weights, gained nothing over `laf` here.
#
# `acl` is one of eight methods without labels. `ascl` takes labeled and unlabeled images together: `unlabeled=` in Python,
# `--unlabeled_dataset` on the command line ([Training](../training.md), [Your own images](../data.md)).
