# %% [markdown]
# # Evaluating someone else's model honestly
#
# A model is said to be robust. Is it? You will measure two models that this package has not trained: a plain one and a
# "defended" one. PGD says that the second is robust. You will see how to find out that it is not.
#
# This takes about two minutes on two CPU cores. The images are scikit-learn's handwritten digits, which come with it.

# %% [markdown]
# ## The models
#
# Any callable from images [B, H, W, 3] in [0, 1] to logits will do: a Keras model, a SavedModel, a function. Two
# things go wrong most often: a model that wants pixels in 0..255, and one that returns probabilities. Both are
# reported when you measure it.
#
# The defended model is the plain one with logits a thousand times larger. Defensive distillation (Papernot et al. 2016)
# comes down to that. Its decisions are the same, image by image, so it cannot be any more robust.

# %%
import keras
import numpy as np
from sklearn.datasets import load_digits

import ascl_tf

keras.utils.set_random_seed(0)
digits = load_digits()
images = np.repeat(digits.images[..., None] / 16, 3, axis=3).astype("float32")  # [N, 8, 8, 3]
order = np.random.default_rng(0).permutation(len(images))
train, test = order[:1500], order[1500:]

plain = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
)
plain.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
plain.fit(images[train], digits.target[train], epochs=15, verbose=0)


def defended(images):
    return 1000 * plain(images)


# %% [markdown]
# ## What a single attack says
#
# `evaluate_robustness` returns one record per protocol. Digits are black and white, and a change by `8/255` does
# nothing to them, so the protocols get a larger radius: `pgd20@epsilon=0.1`. Always say the radius beside a number.

# %%
data = (images[test], digits.target[test])


def measure(model, protocols):
    records = ascl_tf.evaluate_robustness(model, data, protocols, num_classes=10, num_images=100)
    for record in records:
        print(f"  {record['protocol']:35} {record['robust_accuracy']:6.2f} %")
        for warning in record["checks"]:
            print(f"    {warning['name']}: {warning['message']}")
    return {record["protocol"]: record for record in records}


PGD, AUTOATTACK = "pgd20@epsilon=0.1,step_size=0.025", "autoattack_fast@epsilon=0.1"
print("plain")
measure(plain, ["standard", PGD])
print("defended")
measure(defended, ["standard", PGD])

# %% [markdown]
# PGD leaves the plain model 57 % of the images and the defended one 99 %: by the number alone, a triumph. But look at what stands below it: `zero_gradients` says that the loss
# has no gradient by the image. The softmax of such logits is exactly 1 for the class of the image, so the
# cross-entropy is flat. PGD follows the gradient, finds none, and stays where it began. The attack failed; nothing
# was shown about the model. This is *gradient masking*.
#
# ## What a better attack says
#
# AutoAttack has attacks that do not care how large the logits are. Its first two are enough here. Measure all
# protocols in one call, so that the checks see the numbers side by side.

# %%
print("plain")
of_plain = measure(plain, ["standard", PGD, AUTOATTACK])
print("defended")
of_defended = measure(defended, ["standard", PGD, AUTOATTACK])

# %% [markdown]
# AutoAttack leaves both models 55 %. The robustness is gone, and a second check says why PGD's number cannot stand:
# `far_above_autoattack`.
#
# ## Which images, and how sure
#
# A record knows which images are right, so two records on the same images can be compared image by image:

# %%
from ascl_tf.evaluation import compare

found = compare(of_plain[AUTOATTACK], of_defended[AUTOATTACK])
low, high = found["interval"]
print(f"defended - plain: {found['difference']:+.2f} points ({low:+.2f} to {high:+.2f})")

# %% [markdown]
# ## From the command line
#
# The same for a file, with all protocols at once, so that the checks see all numbers together:
#
# ```sh
# python -m ascl_tf.evaluate --model=theirs.keras --dataset=cifar10 --download \
#     --protocol=standard,pgd20,autoattack --output=theirs.json
# python -m ascl_tf.evaluate --compare=ours.json,theirs.json
# ```
#
# Before you quote a number, go through this list:
#
# 1. All test images, or at least a number that you state; never images that were chosen after an attack.
# 2. Radius and norm beside each number, and the same for all models that you compare.
# 3. AutoAttack, not PGD alone. For a defense that AutoAttack does not fit, such as a random one, an attack made for it.
# 4. No check that warns, or an explanation why it does not matter.
# 5. A difference only if its interval does not hold 0.
#
# [Measuring robustness](../evaluation.md) has the details, [AutoAttack](../autoattack.md) its settings.
