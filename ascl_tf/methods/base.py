"""One training step, as every method shares it.

    uint8 images, labels
      -> make_views          augmentation; random numbers keyed by (seed, step, position)
      -> make_adversarial    attacks, in inference mode: no statistic moves
      -> forward             passes in a fixed order, per-row losses          (on the tape)
      -> weighted sum        the only division by a batch size
      -> gradients, update

A method writes the three in the middle, and names its parts. Everything that differs
between methods is in their files; everything that must not differ is here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.attacks import l2_pgd, linf_pgd
from ascl_tf.config import Config
from ascl_tf.losses.classification import weighted_by_class
from ascl_tf.losses.gather import global_mean
from ascl_tf.methods.optimization import Optimization, apply_update, of_pretraining, record_step
from ascl_tf.methods.step_data import (
    Batch,
    Differentiated,
    Outputs,
    StepSeeds,
    Term,
    first_position,
)
from ascl_tf.methods.weight_perturbation import differentiate_at_perturbed_weights
from ascl_tf.models import ADVERSARIAL, Classifier, DualBatchNormalization
from ascl_tf.models.averaged import WeightAverage


class Method(keras.Model):
    """A way of training an encoder and its heads.

    Args:
        encoder: images -> features, called with `training` and `branch`.
        config: `ascl_tf.config.Config`; the settings of the objective and its attacks.
        linear_head: features -> logits; None where the method trains no classifier.
        projection_head: features -> projections; None where the method has none.
        steps_per_epoch: Python int; for what changes with the epoch.
        num_classes: classes of the data set; for what is as many without being them.

    Subclasses set the class attributes below (a property where the config decides), and define
    `make_views`, `make_adversarial` and `forward`. Parts of their own they make in `build`, with
    `add_part`; metrics and parts exist when `build` has run. `call` is inference: images -> logits
    of the adversarial branch (features where there is no classifier).

    Attributes:
        has_classifier: whether a linear head is trained along on the data set's labels.
        has_projection_head: whether the method uses the projection head.
        reports_robust_accuracy: whether `forward` yields logits of adversarial images.
        term_names: names of the terms that `forward` yields, in order.
        preparations: what must be there before the first step, as training/preparation.py names
            it: "pseudo_labels".
        pseudo_label_setting: the setting that names the model whose features are clustered.
        pseudo_label_branch: batch-norm branch of those features, of a model trained here.
        average: the `WeightAverage` that a step updates; None for none.
        class_weights: NumPy [C], how much `class_term` weighs each class; None: all the same.
        has_fixed_features: whether an image has the same features in every step, so that
            `batch.features` may hold them.
    """

    has_classifier = True
    has_projection_head = False
    reports_robust_accuracy = True
    term_names: tuple[str, ...] = ()
    pseudo_label_setting = "pseudo_label_encoder"
    pseudo_label_branch = ADVERSARIAL
    has_fixed_features = False
    preparations: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        encoder: keras.Model,
        config: Config,
        linear_head: keras.Layer | None = None,
        projection_head: keras.Layer | None = None,
        steps_per_epoch: int = 1,
        num_classes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder, self.linear_head = encoder, linear_head
        self.projection_head: keras.Layer = projection_head
        self.config, self.steps_per_epoch = config, steps_per_epoch
        self.num_classes = num_classes
        self.classifier: keras.Model = None
        if linear_head is not None:
            self.classifier = Classifier(encoder, linear_head, name="classifier")
        self.optimization = self.choose_optimization(config)
        self.average: WeightAverage | None = None
        self.class_weights: np.ndarray | None = None
        self.scalars: dict[str, keras.metrics.Metric] = {}
        self._own_parts: dict[str, keras.Layer] = {}

    # What a method defines.

    def make_views(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns a dict of augmented images and of what must travel with them.

        With a classifier it holds "images" (natural, weakly augmented) and "labels".
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_views")

    def make_adversarial(self, views: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns a dict of adversarial images. Called before the tape; moves no variable.

        What is called "views..." is a perturbed "stacked_views", all else a perturbed "images".
        """
        raise NotImplementedError(f"{type(self).__name__} must define make_adversarial")

    def forward(
        self, views: Mapping[str, tf.Tensor], adversarial: Mapping[str, tf.Tensor]
    ) -> Outputs:
        """Returns `Outputs`. Called on the tape; each pass states its branch and mode."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def choose_optimization(self, config: Config) -> Optimization:
        """Returns the `Optimization` of this stage."""
        return of_pretraining(config)

    @property
    def pseudo_label_counts(self) -> tuple[int, ...]:
        """Numbers of clusters, one for each column of `batch.pseudo_labels`; () for none."""
        return ()

    @property
    def has_scheduled_loss(self) -> bool:
        """Whether the loss means something else at the end of training than at its start."""
        return self.optimization.perturbs_weights and self.optimization.awp_warmup_epochs > 0

    def initialize(
        self, features: np.ndarray, pseudo_labels: np.ndarray, images: np.ndarray
    ) -> None:
        """Sets variables from the clustered features, once before the first step.

        Args:
            features: float32 [N, F] of the training images.
            pseudo_labels: int32 [N, M], a column for each of `pseudo_label_counts`.
            images: uint8 [N, H, W, 3], for features of another kind; those in a file
                (`MappedImages`) are read by `np.asarray` of a slice.
        """

    def after_update(self) -> None:
        """What follows an update, such as moving an averaged encoder."""

    @property
    def parts(self) -> dict[str, keras.Layer]:
        """Every part with weights, by name: what a checkpoint holds. Complete when built."""
        parts = {
            "encoder": self.encoder,
            "linear_head": self.linear_head,
            "projection_head": self.projection_head,
        }
        return {name: part for name, part in parts.items() if part is not None} | self._own_parts

    def add_part(self, part: keras.Layer, input_shape: tuple[int | None, ...]) -> keras.Layer:
        """Builds a part of the method's own, a layer with a name, and returns it.

        For `build`, behind `super().build`. A step updates it, and checkpoints hold it.
        """
        part.build(input_shape)
        self._own_parts[part.name] = part
        return part

    @property
    def trained_layers(self) -> list[keras.Layer]:
        """The parts whose trainable variables a step updates."""
        return list(self.parts.values())

    def epoch(self) -> tf.Tensor:
        """Returns the epoch of the step, an int32 scalar counted from 0."""
        return tf.cast(self.optimizer.iterations, tf.int32) // self.steps_per_epoch

    # The step.

    def train_step(self, data: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Updates on one batch: a dict of "images" (uint8) and "labels" (int32, -1 unlabeled)."""
        batch = self.make_batch(data)
        views = self.make_views(batch)
        adversarial = self.make_adversarial(views)
        variables = self.step_variables()
        outputs, means, gradients = self._outputs_and_gradients(views, adversarial, variables)
        standard_logits = None
        if self.has_classifier:
            standard_logits = self.standard_logits(views)
        decays = [self.optimization.decay_of(variable) for variable in variables]
        norms = apply_update(self.optimizer, gradients, variables, decays)
        self.after_update()
        if self.average is not None:
            self.average.update(self.optimizer.iterations - 1)
        record_step(self.scalars, means, norms, standard_logits, outputs, views.get("labels"))
        return {metric.name: metric.result() for metric in self.metrics}

    def differentiate(
        self,
        views: Mapping[str, tf.Tensor],
        adversarial: Mapping[str, tf.Tensor],
        values: Sequence[tf.Tensor],
    ) -> Differentiated:
        """Returns outputs, the means of loss and terms, and the gradients by `values`.

        Args:
            values: what `forward` reads, such as `[variable.value for variable in variables]`.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = self.forward(views, adversarial)
            means = {name: global_mean(t.per_row, t.mask) for name, t in outputs.terms.items()}
            loss = sum(outputs.terms[name].weight * mean for name, mean in means.items())
        return outputs, {"loss": loss, **means}, tape.gradient(loss, values)

    def _outputs_and_gradients(
        self,
        views: Mapping[str, tf.Tensor],
        adversarial: Mapping[str, tf.Tensor],
        variables: Sequence[keras.Variable],
    ) -> Differentiated:
        if not self.optimization.perturbs_weights:
            values = [variable.value for variable in variables]
            return self.differentiate(views, adversarial, values)
        begun = self.epoch() >= self.optimization.awp_warmup_epochs
        gamma = tf.where(begun, self.optimization.awp_gamma, 0.0)
        return differentiate_at_perturbed_weights(self, views, adversarial, variables, gamma=gamma)

    def make_batch(self, data: Mapping[str, tf.Tensor]) -> Batch:
        """Returns the `Batch` of a replica's data: pixels in [0, 1], seeds by position."""
        images = tf.cast(data["images"], self.pixel_dtype) / 255
        positions = first_position(tf.shape(images)[0]) + tf.range(tf.shape(images)[0])
        step = tf.cast(self.optimizer.iterations, tf.int32)
        seeds = StepSeeds(self.config.seed, step, positions)
        return Batch(images, data["labels"], seeds, data.get("pseudo_labels"), data.get("features"))

    @property
    def trained_branches(self) -> tuple[str, ...]:
        """The batch-norm branches that the objective depends on."""
        return (ADVERSARIAL,)

    def step_variables(self) -> list[keras.Variable]:
        """Returns the Keras variables that a step updates, each once."""
        variables = [v for layer in self.trained_layers for v in layer.trainable_variables]
        if len({id(v) for v in variables}) != len(variables):
            raise ValueError("a variable belongs to two of the trained layers")
        idle = {id(v) for layer in self.trained_layers for v in self._idle_variables(layer)}
        return [v for v in variables if id(v) not in idle]

    def _idle_variables(self, layer: keras.Layer) -> list[keras.Variable]:
        """Returns affine parameters of the branches that the objective does not pass through."""
        norms = [m for m in layer._flatten_layers() if isinstance(m, DualBatchNormalization)]
        used = [m.branch_layer(branch) for m in norms for branch in self.trained_branches]
        branches = [branch for m in norms for branch in m.branches.values()]
        return [v for b in branches if not any(b is u for u in used) for v in b.trainable_variables]

    @property
    def pixel_dtype(self) -> tf.DType:
        """float32, or float64 under a float64 policy."""
        return tf.float64 if keras.config.floatx() == "float64" else tf.float32

    # Forward passes, for subclasses; each call states branch and mode.

    def logits(self, images: tf.Tensor, *, branch: str, training: bool) -> tf.Tensor:
        """Returns logits [N, C]."""
        return self.classifier(images, branch=branch, training=training)

    def projections(self, images: tf.Tensor, *, branch: str, training: bool) -> tf.Tensor:
        """Returns projections [N, D] of unit norm."""
        features = self.encoder(images, branch=branch, training=training)
        return self.projection_head(features, branch=branch, training=training)

    def standard_logits(self, views: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns logits [B, C] of the natural images, for their accuracy: inference mode."""
        return self.logits(views["images"], branch=ADVERSARIAL, training=False)

    def perturb(
        self,
        objective: Callable[..., tf.Tensor],
        images: tf.Tensor,
        *,
        num_steps: int,
        seed: tf.Tensor,
        constants: Sequence[tf.Tensor] = (),
        gathers: bool = False,
        step_size: float | None = None,
    ) -> tf.Tensor:
        """Returns PGD of `images` in the run's norm and with its radius, from a uniform start.

        The step is the run's where `step_size` is None.
        """
        pgd = l2_pgd if self.config.norm == "l2" else linf_pgd
        return pgd(
            objective,
            images,
            epsilon=float(self.config.epsilon),
            step_size=float(self.config.step_size) if step_size is None else step_size,
            num_steps=num_steps,
            random_start=True,
            seed=seed,
            constants=constants,
            gathers_across_replicas=gathers,
        )

    def class_term(self, per_example: tf.Tensor, labels: tf.Tensor) -> Term:
        """Returns the term of a classification loss [B]: images with a label, by class weight."""
        weighted = weighted_by_class(per_example, labels, self.class_weights)
        return Term(weighted, mask=labels >= 0)

    # Keras' side.

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the parts; a subclass makes its own behind this, with `add_part`."""
        whole = self.encoder if self.classifier is None else self.classifier
        whole.build(input_shape)
        if self.projection_head is not None:
            self.projection_head.build(self.feature_shape(input_shape))
        self.scalars = {name: keras.metrics.Mean(name=name) for name in self.scalar_names()}

    def feature_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns (None, F), the shape of features of images of `input_shape`."""
        return tuple(self.encoder.compute_output_shape(input_shape))

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        whole = self.encoder if self.classifier is None else self.classifier
        return whole(images, training=False, branch=ADVERSARIAL)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.scalars.values())

    def scalar_names(self) -> list[str]:
        """Returns the names of the metrics of a step, in order."""
        names = ["loss", *self.term_names, "gradient_norm", "update_norm"]
        if self.has_classifier:
            names += ["standard_accuracy"]
            names += ["robust_accuracy"] if self.reports_robust_accuracy else []
        return names + (["projection_std"] if self.reports_projections else [])

    @property
    def reports_projections(self) -> bool:
        """Whether `forward` yields projections, whose spread is reported."""
        return self.has_projection_head

    @property
    def projection_dim(self) -> int:
        """The dimension of these projections."""
        return int(self.projection_head.projection_dim)
