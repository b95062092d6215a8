"""What is known of advcl before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.paths import SOURCE
from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting
from ascl_tf.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class AdvClSettings:
    """AdvCL: pseudo-labels from clustered features, and a high-frequency view."""

    pseudo_label_encoder: str = setting(
        "",
        "Encoder whose features advcl clusters into pseudo-labels: the work directory of a "
        "pre-training run, pretrained:NAME, a .keras file of a classifier from this package, or "
        "any SavedModel.",
        stages=(PRETRAIN,),
        path=SOURCE,
        is_identity=False,
    )
    num_clusters: str = setting(
        "2,10,50,100,500",
        "Numbers of clusters in advcl, comma-separated, with one pseudo-label head each. "
        "dynacl_pp has one cluster per class of the data set instead.",
        stages=(PRETRAIN,),
        smoke="2,3",
    )
    advcl_ce_weight: float = setting(
        0.2, "Weight of advcl's pseudo-label term.", stages=(PRETRAIN,), minimum=0.0
    )
    high_frequency_radius: int = setting(
        8,
        "Distance from frequency zero below which advcl removes frequencies from its fourth view.",
        stages=(PRETRAIN,),
        minimum=0,
    )

    @property
    def cluster_counts(self):
        """`num_clusters` as numbers, in the order given."""
        try:
            counts = tuple(int(count) for count in self.num_clusters.split(","))
        except ValueError:
            counts = ()
        if not counts or min(counts) < 2:
            raise ConfigError(
                field="num_clusters",
                expected="whole numbers >= 2, separated by commas, such as 2,10,50",
                found=repr(self.num_clusters),
            )
        return counts

    def __post_init__(self):
        _ = self.cluster_counts  # Raises where the text cannot be read.


register(
    MethodSpec(
        "advcl",
        "ascl_tf.methods.advcl:AdvCl",
        settings=(AdvClSettings,),
        labels=LABELS_NONE,
        recipe=Recipe("lars", 3.571429, 512),
    )
)
