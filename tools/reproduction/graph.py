"""From a row of flags/ to the steps that train, measure and export it."""

from collections.abc import Mapping
from typing import NamedTuple

from ascl_tf import config as cfg
from ascl_tf.config.setting import plain_value
from tools import rows
from tools.reproduction import costs
from tools.reproduction.nodes import Node, Place

TRAIN, EVALUATE, ANALYZE = "ascl_tf.train", "ascl_tf.evaluate", "ascl_tf.analyze"
RECORDS = "records.json"
CHECKPOINTS = "checkpoints"
BEST, LAST = "best", "last"
EXPORT_FOLDER = "export/*"
# Where other runs lie is told by the steps before, not by the settings.


class Classifier(NamedTuple):
    """What has trained a classifier: its last step and settings; setting -> run it starts from."""

    node: Node
    config: cfg.Config
    runs: Mapping[str, Node]
    title: str


class Measured(NamedTuple):
    """A step that leaves records, and what its records are of.

    Attributes:
        pattern: the file with them.
        label: what a figure calls the model whose measures are wanted; "" of records.
        checkpoint: of the exported models that were measured.
    """

    node: Node
    row: str
    head: str
    seed: int
    pattern: str = RECORDS
    label: str = ""
    checkpoint: str = BEST


class Graph:
    """Makes the steps of one preset; equal steps are one object."""

    def __init__(self, preset):
        self.preset = preset
        self.nodes = {}

    def row(self, folder):
        """Returns the `RowRun` of a row of flags/, or of an extra row of the preset."""
        extra = {row.folder: row for row in self.preset.extra_rows}.get(folder)
        return rows.load_row(folder) if extra is None else self._extra_row(extra)

    def pretrain_config(self, row):
        """Returns the settings of a row's pre-training at this preset."""
        config = self.preset.apply(row.config, row.folder)
        extra = {row.folder: row for row in self.preset.extra_rows}.get(row.folder)
        if extra is None or self.preset.is_smoke:
            return config
        if extra.passes:
            passes = extra.passes - self._passes_beside(row)
        elif extra.compute_of:
            passes = self._passes_of(self.row(extra.compute_of))
        else:
            return config
        return config.replace(epochs=max(1, round(passes / row.units)))

    def _passes_of(self, row):
        """Returns the forward passes per training image of a row's pre-training."""
        return self.pretrain_config(row).epochs * row.units

    def _passes_beside(self, row):
        """Returns those of the dearest fine-tuning, and of the runs that it starts from."""
        heads = [
            sum(self.preset.apply(part, row.folder).num_finetune_epochs for part in head.parts)
            * head.units
            for head in row.heads
        ]
        return max(heads) + sum(map(self._passes_of, self._rows_before(row.config).values()))

    def _rows_before(self, config):
        """Returns setting -> the row whose run a pre-training starts from."""
        starts = {name: getattr(config, name) for name in rows.NAMES_OF_RUNS}
        return {n: self.row(rows.row_of_run(path)) for n, path in starts.items() if path}

    def pretrain(self, row, seed):
        """Returns the step of a row's pre-training."""
        config = self.pretrain_config(row).replace(seed=seed)
        return self._train(
            cfg.PRETRAIN,
            _title(row, row.config, seed),
            _identity(config, cfg.PRETRAIN),
            _flags_of_runs(self._runs_before(config, seed)),
            outputs=("results/pretrain.json", f"{CHECKPOINTS}/pretrain/last"),
            seconds=costs.training(self.preset, config, row.units, config.epochs),
        )

    def _runs_before(self, config, seed):
        before = self._rows_before(config).items()
        return {name: self.pretrain(row, seed) for name, row in before}

    def classifiers(self, row, head, seed):
        """Returns the `Classifier`s of a head: one, or several for an ensemble."""
        if head.name == rows.ONE_SHOT:
            config = self.pretrain_config(row).replace(seed=seed)
            node, before = self.pretrain(row, seed), self._runs_before(config, seed)
            return [Classifier(node, config, before, _title(row, row.config, seed))]
        return [self._finetune(row, head, part, seed) for part in head.parts]

    def export(self, classifier, checkpoint=BEST):
        """Returns the step that writes a classifier as a SavedModel."""
        return self._of_classifier(
            cfg.EXPORT,
            classifier,
            {"export_checkpoint": checkpoint},
            note="" if checkpoint == BEST else f", {checkpoint}",
            outputs=(EXPORT_FOLDER,),
            seconds=costs.STEP,
        )

    def exports(self, row, head, seed, checkpoint=BEST):
        """Returns a `Place` for each exported model of a head."""
        found = self.classifiers(row, head, seed)
        return [Place(self.export(classifier, checkpoint), EXPORT_FOLDER) for classifier in found]

    def evaluate(self, row, head, seed, protocols):
        """Returns the `Measured` of a head under some protocols, on the preset's test images."""
        classifiers = self.classifiers(row, head, seed)
        if len(classifiers) > 1:
            return self.measure(row, head, seed, cfg.EVALUATE, {"protocol": ",".join(protocols)})
        (classifier,) = classifiers
        node = self._of_classifier(
            cfg.EVALUATE,
            classifier,
            {"protocol": ",".join(protocols), **_number_of_images(classifier.config)},
            note=f", {protocols[-1]}" if self.preset.protocols else "",
            outputs=("results/evaluate_*.json",),
            seconds=costs.evaluation(self.preset, classifier.config, protocols),
        )
        return Measured(node, row.folder, head.name, seed, node.outputs[0])

    def measure(self, row, head, seed, kind, settings, checkpoint=BEST):
        """Returns the `Measured` of the exported models of a head by ascl_tf.evaluate."""
        models = self.exports(row, head, seed, checkpoint)
        arguments = ["--model=", *_separated(models)]
        config = self.preset.apply(_data_config(row, head), row.folder)
        settings = {**self._images(config, seed), **settings}
        settings |= self.preset.evaluate.get(kind, {})
        # AutoAttack goes on from the state that it left, where it was stopped.
        resume = ("--resume",) if "autoattack" in str(settings["protocol"]) else ()
        node = self.add(
            Node(
                kind=kind,
                title=f"{kind} {_title(row, _data_config(row, head), seed, head.name)}"
                + ("" if checkpoint == BEST else f", {checkpoint}"),
                program=EVALUATE,
                settings=settings,
                arguments=(tuple(arguments), *as_flags(settings), *resume, _output(RECORDS)),
                outputs=(RECORDS,),
                seconds=costs.measuring(self.preset, config, settings),
            )
        )
        return Measured(node, row.folder, head.name, seed, checkpoint=checkpoint)

    def images(self, seed):
        """Returns the flags of the data set of the paper's figures, as settings."""
        return self._images(self.preset.apply(rows.load_row("table1/at").config, ""), seed)

    def add(self, node):
        """Returns this step, or the equal one that there is."""
        return self.nodes.setdefault(node.key, node)

    def _finetune(self, row, head, part, seed):
        config = self.preset.apply(part, row.folder).replace(seed=seed)
        named = rows.row_of_run(config.pretrained)
        start = self.pretrain(self.row(named) if named else row, seed)
        title = _title(row, part, seed, part.finetune)
        if len(head.parts) > 1:
            title += f" {part.encoder_part.removeprefix('encoder').strip('_') or 'selfie'}"
        node = self._train(
            cfg.FINETUNE,
            title,
            _identity(config, cfg.FINETUNE),
            _flags_of_runs({"pretrained": start}),
            outputs=("results/finetune_*.json", f"{CHECKPOINTS}/finetune_*/last"),
            seconds=costs.training(self.preset, config, head.units, config.num_finetune_epochs),
        )
        return Classifier(node, config, {"pretrained": start}, title)

    def _train(self, stage, title, settings, places, **fields):
        return self.add(
            Node(
                kind=stage,
                title=f"{stage} {title}",
                program=TRAIN,
                settings=settings,
                arguments=(
                    f"--stage={stage}",
                    *_training_flags(settings),
                    *places,
                    ("--workdir=", Place(None)),
                ),
                **fields,
            )
        )

    def _of_classifier(self, stage, classifier, more, note="", **fields):
        """Returns a step in a folder of its own that reads the checkpoints of another."""
        config, places = classifier.config, _flags_of_runs(classifier.runs)
        settings = _identity(config, stage) | more
        if "pretrained" in classifier.runs:
            settings |= _identity(config, cfg.FINETUNE)
        return self.add(
            Node(
                kind=stage,
                title=f"{stage} {classifier.title}{note}",
                program=TRAIN,
                settings=settings,
                arguments=(
                    f"--stage={stage}",
                    *_training_flags(settings),
                    *places,
                    ("--workdir=", Place(None)),
                ),
                links={CHECKPOINTS: Place(classifier.node, CHECKPOINTS)},
                **fields,
            )
        )

    def _images(self, config, seed):
        settings = {"dataset": config.dataset, "image_size": config.image_size, "seed": seed}
        return settings | _number_of_images(config)

    def _extra_row(self, extra):
        like = rows.load_row(extra.like)
        changes = {**extra.settings, "workdir": f"{rows.RUNS}{extra.folder}"}
        heads = tuple(
            head._replace(
                parts=tuple(part.replace(**changes) for part in head.parts),
                units=extra.finetune_units.get(head.name, head.units),
            )
            for head in like.heads
            if not extra.heads or head.name in extra.heads
        )
        row = rows.Row(extra.folder, f"Beside {like.row.place}", extra.title)
        config = like.config.replace(**changes)
        return rows.RowRun(row, config, extra.units or _units(config, like), heads)


def _number_of_images(config):
    """Returns how many test images are measured, as settings: no part of a run's identity."""
    return {"num_images": config.num_images} if config.num_images else {}


def _units(config, like):
    """Returns what a step of an extra row costs: of a method of one's own it is counted."""
    if not config.method_spec.sha256:
        return like.units
    from ascl_tf.methods.cost import count_step  # It imports TensorFlow.

    return count_step(config)


def _identity(config, stage):
    """Returns a stage's identity, with the hash of the file of a method of one's own."""
    found, sha256 = cfg.identity_of(config, stage), config.method_spec.sha256
    files = {config.method: sha256} if sha256 else {}
    return {**found, cfg.FORMATS: {**found[cfg.FORMATS], **files}}


def as_flags(settings):
    """Returns settings as arguments."""
    return tuple(
        f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={value}"
        for name, value in cfg.settings_in(settings).items()
    )


def _training_flags(settings):
    """Returns settings of a training as arguments: all that would depend on others, too."""
    fields = cfg.setting_fields().values()
    autos = {f.name: plain_value(f.default) for f in fields if f.metadata["is_auto"]}
    return as_flags(autos | settings)


def _output(name):
    return ("--output=", Place(None, name))


def _flags_of_runs(nodes):
    return tuple((f"--{name}=", Place(node)) for name, node in nodes.items())


def _separated(places):
    pieces = []
    for place in places:
        pieces += [",", place] if pieces else [place]
    return pieces


def _data_config(row, head):
    return head.parts[0] if head.parts else row.config


def _title(row, config, seed, head=""):
    """Returns what people call a step: the row that owns the run, head and seed."""
    owner = rows.row_of_run(config.workdir) or row.folder
    return " ".join([owner, *([head] if head else []), *([f"seed {seed}"] if seed else [])])
