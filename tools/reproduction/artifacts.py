"""The paper's tables and figures, and two tables beside them: which steps each needs."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ascl_tf import config as cfg
from tools import rows
from tools.reproduction import costs, shares_figure
from tools.reproduction.graph import (
    ANALYZE,
    BEST,
    EVALUATE,
    LAST,
    RECORDS,
    Measured,
    as_flags,
)
from tools.reproduction.nodes import Node, Place

TRANSFER = "transfer"
STANDARD, PGD, PGD_16, AUTOATTACK = "standard", "pgd20", "pgd20_eps16", "autoattack"
SWEEPS = {"protocol": "sweep_steps,sweep_epsilon"}
CORRUPTIONS = {"protocol": "corruptions"}
# Raised when what a figure's JSON file holds changes: figures of before count as not done.
FORMAT_OF_FIGURES = {"figures": 2}
# What a model is called in a figure, by the last part of its row's folder.
LABELS = {
    "acl": "ACL",
    "advcl": "AdvCL",
    "ascl": "ASCL",
    "at": "AT",
    "at_self_supervised": "AT + self-sup CL",
    "full": "full model",
    "label_based": "label-based attacks",
    "label_independent": "label-independent attacks",
    "rocl": "RoCL",
    "rotation_at": "rotation AT",
    "standard": "standard",
    "trades": "TRADES",
}


@dataclasses.dataclass(frozen=True)
class Artifact:
    """One table or figure.

    Attributes:
        name: as on the command line.
        title: its heading.
        columns: protocols whose numbers a table of accuracies shows.
        measured: kind of evaluation -> its flags, for each model of a figure.
        figures: figure of ascl_tf.analyze -> kind of evaluation whose records it draws, or ""
            where it takes the exported models.
        is_matrix: whether it shows transfer from each model to each other.
        figure_rows: models of its figures; (): its own rows.
        plots: figure -> function (document, path without suffix) that draws it.
    """

    name: str
    title: str
    columns: tuple[str, ...] = ()
    measured: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_matrix: bool = False
    figure_rows: tuple[str, ...] = ()
    plots: Mapping[str, Callable] = dataclasses.field(default_factory=dict)

    @property
    def heading(self):
        """Its name in the paper and its title."""
        kind = self.name.rstrip("0123456789")
        number = self.name.removeprefix(kind)
        return f"{kind.capitalize()} {number}: {self.title}" if number else self.title


class Plan(NamedTuple):
    """The steps of an artifact: records by row, head and seed; figures by name.

    A figure that is measured on models is measured on further seeds too, where its rows have them:
    the ledger of claims takes the spread over seeds from there.
    """

    artifact: Artifact
    measured: tuple[Measured, ...]
    drawn: Mapping[str, Node]

    def nodes(self):
        """Returns the steps that the artifact is made from."""
        return [measured.node for measured in self.measured] + list(self.drawn.values())


_ALL = (
    Artifact("table1", "methods on CIFAR-10", (STANDARD, PGD, AUTOATTACK)),
    Artifact(
        "table2",
        "black-box attacks by transfer",
        is_matrix=True,
        figures={TRANSFER: TRANSFER},
    ),
    Artifact("table3", "transfer of the frozen encoder", (STANDARD, PGD)),
    Artifact("table4", "linear separability", (STANDARD, PGD)),
    Artifact("table5", "components of the objective", (STANDARD, PGD, AUTOATTACK)),
    Artifact("table6", "sources of the attacks in training", (STANDARD, PGD, PGD_16)),
    Artifact("table7", "fine-tuning of ASCL", (STANDARD, PGD, PGD_16)),
    Artifact("table8", "batch norm", (STANDARD, PGD)),
    Artifact(
        "figure1",
        "common corruptions",
        measured={"corruptions": CORRUPTIONS},
        figures={"corruptions": "corruptions"},
    ),
    Artifact("figure2", "feature inversion", figures={"inversion": ""}),
    Artifact("figure3", "t-SNE of the features", figures={"tsne": ""}),
    Artifact("figure4", "loss around an image", figures={"input_landscape": ""}),
    Artifact("figure5", "loss around the weights", figures={"weight_landscape": ""}),
    Artifact(
        "figure6",
        "PGD steps and radii",
        measured={"sweeps": SWEEPS},
        figures={"sweeps": "sweeps"},
    ),
    Artifact(
        "figure7",
        "common corruptions by component",
        measured={"corruptions": CORRUPTIONS},
        figures={"corruptions": "corruptions"},
    ),
    Artifact("readings", "Readings of the paper's equations", (STANDARD, PGD)),
    Artifact(
        "few_labels", "Few labels", (STANDARD, PGD), plots={"shares": shares_figure.write_shares}
    ),
    Artifact(
        "beyond",
        "Beyond the paper",
        (STANDARD, PGD, AUTOATTACK),
        figures={"calibration": ""},
        # The paper claims calibration of the last three and measures none.
        figure_rows=(
            "table1/at",
            "table1/trades",
            "table6/label_based",
            "table6/label_independent",
            "table1/ascl",
        ),
    ),
)
ARTIFACTS = {artifact.name: artifact for artifact in _ALL}


def folders_of(artifact, preset):
    """Returns the rows of an artifact at a preset, extra ones behind those of flags/."""
    extra = [row.folder for row in preset.extra_rows if row.folder.startswith(f"{artifact.name}/")]
    return [*rows.folders_of(artifact.name), *extra]


def make_plan(artifact, graph, seeds):
    """Returns the `Plan` of an artifact; figures are drawn from the first seed."""
    measured, drawn = [], {}
    by_folder = {
        folder: graph.preset.seeds(folder, seeds) for folder in folders_of(artifact, graph.preset)
    }
    for seed in dict.fromkeys(itertools.chain(*by_folder.values())):
        for folder, wanted in by_folder.items():
            if seed in wanted:
                row = graph.row(folder)
                for head in row.heads:
                    measured += _accuracies(artifact, graph, row, head, seed)
    for seed in seeds if artifact.is_matrix else ():
        measured.append(_transfer(artifact, graph, seed))
    models = _models(artifact, graph) if artifact.figures else {}
    for name, kind in artifact.figures.items():
        if kind:
            of_models = _measured_models(artifact, graph, kind, models, seeds[0])
            drawn[name] = _drawing(name, graph, models, of_models, seeds[0])
            measured += of_models.values() if kind in artifact.measured else ()
        else:
            found = _figure_by_seed(name, graph, models, seeds)
            drawn[name] = found[0].node
            measured += found
    return Plan(artifact, tuple(measured), drawn)


def _figure_by_seed(name, graph, models, seeds):
    """Returns the `Measured` of a figure of models: of all for each seed that was asked for.

    Models of every seed see the same images, directions and noise: those of the first seed.
    """
    found = []
    wanted = {label: graph.preset.seeds(row.row.owner, seeds) for label, row in models.items()}
    for seed in dict.fromkeys(itertools.chain(*wanted.values())):
        chosen = {label: row for label, row in models.items() if seed in wanted[label]}
        node = _drawing(name, graph, chosen, {}, seed, seed_of_images=seeds[0])
        found += [
            Measured(node, row.folder, row.heads[0].name, seed, f"{name}.json", label)
            for label, row in chosen.items()
        ]
    return found


def _measured_models(artifact, graph, kind, models, seed):
    """Returns label -> `Measured` of what a figure is drawn from; {} where it takes models."""
    if kind == TRANSFER:
        return {TRANSFER: _transfer(artifact, graph, seed)}
    flags = artifact.measured.get(kind)
    measured = models.items() if flags else ()
    return {label: graph.measure(row, row.heads[0], seed, kind, flags) for label, row in measured}


def _accuracies(artifact, graph, row, head, seed):
    """Returns the steps that measure a head for the columns of a table."""
    preset = graph.preset
    if not artifact.columns:
        return []
    groups = preset.protocols or (head.protocols,)
    wanted = [group for group in groups if not preset.protocols or _is_shown(artifact, group)]
    found = [graph.evaluate(row, head, seed, group) for group in wanted]
    if AUTOATTACK in artifact.columns and preset.autoattack_images:
        settings = {"protocol": preset.autoattack, "num_images": preset.autoattack_images}
        checkpoints = (BEST, LAST) if row.folder in preset.autoattack_of_both else (BEST,)
        found += [graph.measure(row, head, seed, AUTOATTACK, settings, c) for c in checkpoints]
    return found


def _is_shown(artifact, group):
    return bool(set(group) & set(artifact.columns))


def _models(artifact, graph):
    """Returns label -> row of the models of a figure or of the transfer matrix."""
    folders = artifact.figure_rows or folders_of(artifact, graph.preset)
    return {LABELS[folder.partition("/")[2]]: graph.row(folder) for folder in folders}


def _labeled(flag, places):
    """Returns the argument --flag=label=path,label=path."""
    pieces = [f"--{flag}="]
    for label, place in places.items():
        pieces += [f"{'' if len(pieces) == 1 else ','}{label}=", place]
    return tuple(pieces)


def _exports(graph, models, seed):
    return {label: graph.exports(row, row.heads[0], seed)[0] for label, row in models.items()}


def _transfer(artifact, graph, seed):
    models = _models(artifact, graph)
    settings = {**graph.images(seed), "protocol": PGD}
    config = graph.pretrain_config(next(iter(models.values())))
    node = Node(
        kind=TRANSFER,
        title=f"transfer {artifact.name}" + (f" seed {seed}" if seed else ""),
        program=EVALUATE,
        settings=settings,
        arguments=(
            _labeled("targets", _exports(graph, models, seed)),
            *as_flags(settings),
            ("--output=", Place(None, RECORDS)),
        ),
        outputs=(RECORDS,),
        seconds=costs.transfer(graph.preset, config, len(models)),
    )
    return Measured(graph.add(node), "", "", seed)


def _drawing(name, graph, models, of_models, seed, seed_of_images=0):
    """Returns the step that draws a figure from models, or from what was measured of them."""
    preset = graph.preset
    settings = {"figure": name, **preset.analyze.get(name, {})}
    if of_models:
        places = {label: Place(found.node, RECORDS) for label, found in of_models.items()}
        given = _labeled("records", places)
    else:
        given = _labeled("models", _exports(graph, models, seed))
        settings = {**graph.images(seed_of_images), **settings, cfg.FORMATS: FORMAT_OF_FIGURES}
    config = graph.pretrain_config(next(iter(models.values())))
    node = Node(
        kind="draw" if of_models else "analyze",
        title=f"draw {name} of {', '.join(models)}" + (f" seed {seed}" if seed else ""),
        program=ANALYZE,
        settings=settings,
        arguments=(given, *as_flags(settings), ("--output=", Place(None))),
        outputs=tuple(f"{name}.{suffix}" for suffix in ("json", "png", "svg")),
        seconds=costs.STEP if of_models else costs.drawing(preset, config, name, len(models)),
    )
    return graph.add(node)
