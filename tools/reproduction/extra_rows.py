"""Rows that no folder of flags/ holds: another row with some settings changed."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ExtraRow:
    """A row that no folder of flags/ holds: another row with some settings changed.

    Attributes:
        folder: what it is called.
        like: the row that it changes.
        title: for the tables.
        settings: the changes.
        compute_of: the row whose forward passes in pre-training give its number of epochs.
        passes: forward passes per training image that everything may cost, fine-tuning and the
            runs that it starts from included; they give its number of epochs. 0: not so.
        units: forward passes per image of a step of pre-training; 0: those of the other row.
        finetune_units: head -> those of its fine-tuning, where they are others.
        heads: which of the other row's heads it has; (): all.
    """

    folder: str
    like: str
    title: str
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    compute_of: str = ""
    passes: float = 0.0
    units: int = 0
    finetune_units: Mapping[str, int] = dataclasses.field(default_factory=dict)
    heads: tuple[str, ...] = ()


POSITIVES_ALL = ExtraRow(
    "readings/positives_all",
    like="readings/denominator_joint",
    title="eq. 9 with clean views of the class among its positives",
    settings={"ascl_positives": "all"},
)
AT_EQUAL_COMPUTE = ExtraRow(
    "table5/at_equal_compute",
    like="table5/at",
    title="AT with the full model's compute",
    compute_of="table5/full",
)
