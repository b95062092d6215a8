# %% [markdown]
# # From your pictures to a served model
#
# You have a folder of pictures, one folder per class. You will train a robust classifier on it, name the classes of
# new pictures, export the model, and load it without this package.
#
# This takes about three minutes on two CPU cores. To have pictures at all, the script draws some; put your own
# folder in its place.

# %% [markdown]
# ## The pictures
#
# The layout is `<class>/<picture>`, of any size and format. A fifth of each class is set aside as the split `test`.
# Other layouts, such as `train/<class>/...` or a `labels.csv`: [Your own images](../data.md).

# %%
import pathlib

import numpy as np
from PIL import Image, ImageDraw

SHAPES = {"circle": 0, "square": 4, "triangle": 3}


def draw(shape, rng, size=24):
    """Returns a picture of a bright shape at a random place on a dark, noisy ground."""
    ground = rng.integers(0, 90, [size, size, 3], np.uint8)
    picture = Image.fromarray(ground)
    x, y = rng.integers(9, size - 9, 2)
    circle, color = (int(x), int(y), 8), tuple(map(int, rng.integers(150, 256, 3)))
    brush = ImageDraw.Draw(picture)
    if shape == "circle":
        brush.circle(circle[:2], 7, fill=color)
    else:
        brush.regular_polygon(circle, SHAPES[shape], fill=color)
    return picture


def draw_folder(folder, count, seed):
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        pathlib.Path(folder, shape).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(shape, rng).save(pathlib.Path(folder, shape, f"{number}.png"))


draw_folder("pictures", 150, seed=0)
draw_folder("new_pictures", 2, seed=1)

# %% [markdown]
# ## Training
#
# `at` is adversarial training: each step attacks its images first, and learns from what comes out. A narrow network
# (`width=8`), small images and few epochs keep this short. Every setting is a flag of `python -m ascl_tf.train` of the
# same name.

# %%
import ascl_tf
from ascl_tf.data import load_dataset

train = load_dataset("folder:pictures", "train", image_size=16)
test = load_dataset("folder:pictures", "test", image_size=16)
print(train.class_names, train.images.shape, test.images.shape)

classifier = ascl_tf.pretrain(
    train,
    method="at",
    batch_norm="shared",  # One set of statistics: adversarial training needs no more.
    width=8,
    epochs=10,
    global_batch_size=32,
    num_steps_at=5,
    workdir="runs/pictures",
)

# %% [markdown]
# Everything about the run is in `runs/pictures`: settings, checkpoints, TensorBoard logs. Run the same lines again and
# nothing is trained twice; interrupt them and they continue where they stopped.
#
# ## How good is it?
#
# `standard` attacks nothing; `pgd20` may move each pixel by 8 of 256 gray levels. It printed 100.00 % and 93.33 % for us.

# %%
for record in ascl_tf.evaluate_robustness(classifier, test, ["standard", "pgd20"]):
    print(f"{record['protocol']:10} {record['robust_accuracy']:6.2f} % of {record['num_images']}")

# %% [markdown]
# ## Export
#
# The folder holds a SavedModel and a card that says what the model is: classes, image size, accuracies. Each file is
# loaded again and compared with the model before it is there. Other formats (Keras, TFLite, ONNX): [Serving](../serving.md).

# %%
ascl_tf.export_classifier(classifier, "exported", test=test)

# %% [markdown]
# ## Naming new pictures
#
# Pictures are brought to the model's size as in training.

# %%
for prediction in ascl_tf.classify("exported", "new_pictures"):
    print(prediction.file, prediction.class_names[0], f"{prediction.probabilities[0]:.2f}")

# %% [markdown]
# ## Serving
#
# Where the model is deployed nobody needs this package, only TensorFlow. `serve_uint8` takes 8-bit pictures of any
# size. TensorFlow Serving takes the same folder.

# %%
import tensorflow as tf

served = tf.saved_model.load("exported")
picture = np.asarray(Image.open("new_pictures/circle/0.png"))
outputs = served.signatures["serve_uint8"](images=tf.constant(picture[None]))
print(outputs["class_name"][0].numpy().decode(), outputs["probabilities"][0].numpy())

# %% [markdown]
# ## The same from the command line
#
# ```sh
# python -m ascl_tf.train --stage=all --method=at --batch_norm=shared --dataset=folder:pictures --image_size=16 \
#     --width=8 --epochs=10 --global_batch_size=32 --num_steps_at=5 --workdir=runs/pictures_cli
# python -m ascl_tf.predict --model=runs/pictures_cli/export/pretrain new_pictures
# ```
#
# With pictures of your own, begin with the recipe for them, which chooses all of this and trains for ten minutes:
#
# ```sh
# python -m ascl_tf.train --recipe=pictures --dataset=folder:pictures --workdir=runs/own
# tensorboard --logdir runs/own/tensorboard
# ```
