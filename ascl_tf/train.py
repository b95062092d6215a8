"""Trains, fine-tunes, evaluates and exports a classifier, on a folder of pictures or a data set.

    python -m ascl_tf.train --recipe=quickstart --workdir=runs/quickstart
    python -m ascl_tf.train --recipe=pictures --dataset=folder:/data/pets --workdir=runs/pets

Stages, in order; each continues from what the previous one left in --workdir:
  pretrain  trains an encoder; with --method=at, trades or mart, the whole classifier
  finetune  trains a classifier on the encoder
  evaluate  measures the last and the best classifier on the test images
  export    writes the best classifier as files for serving
"""

import contextlib
import dataclasses
import os
import re
import sys

from absl import flags

from ascl_tf import config as cfg
from ascl_tf.config.recorded_splits import DATASET, recorded_splits
from ascl_tf.config.registry import method_names, method_sections
from ascl_tf.errors import ConfigError
from ascl_tf.process import signals
from ascl_tf.process.terminal import quiet_start
from ascl_tf.process.tf_config import read_cluster
from ascl_tf.program.flag_defs import (
    PROGRAM_FLAGS,
    define_flags,
    define_program_flags,
    on_command_line,
    parse,
    run_program,
    wants_help,
)
from ascl_tf.program.flagfiles import check_values
from ascl_tf.program.messages import one_line
from ascl_tf.program.outside_methods import load_outside_method
from ascl_tf.program.protocol_help import wants_protocols
from ascl_tf.program.recipes import FLAG, LIST, describe_recipes

DEFAULT_WORKDIRS = "runs"
# What a newcomer needs.
BASIC = (
    *("stage", FLAG, "workdir", "minutes", "smoke", "dataset", "image_size", "width", "method"),
    *("epsilon", "epochs", "global_batch_size", "finetune", "protocol", "export_format"),
)


def run(argv=None):
    """Console entry."""
    with signals.listening():
        run_program(main, argv)


def make_flags():
    """Returns the flags of this program: every setting, and what only a command line says."""
    values = define_flags(*cfg.sections())
    define_program_flags(values)
    flags.DEFINE_enum(
        "stage", cfg.PRETRAIN, [*cfg.STAGES, cfg.ALL], "Stage to run.", flag_values=values
    )
    flags.DEFINE_string(
        FLAG,
        "",
        "Name of a recipe in the package. Its settings apply as from a flagfile at this position. "
        "list shows the names.",
        flag_values=values,
    )
    return values


def main(argv):
    """Parses the command line and runs the stages that it asks for."""
    load_outside_method(argv)
    values = make_flags()
    explicit = parse(values, argv)
    if explicit.get(FLAG) == LIST:
        print(describe_recipes())
        return
    usage = f"{__doc__}Methods: {', '.join(method_names())}\n"
    if wants_help(values, usage, *cfg.sections(), basic=BASIC) or wants_protocols(explicit):
        return
    # They are recorded, and the next command may be given from another folder.
    explicit = cfg.with_absolute_places(explicit)
    check_values(explicit, {name: values[name].boolean for name in values})
    cluster = read_cluster()
    if cluster is not None:
        _check_stage(values.stage, cluster)
    kept = on_command_line(values, argv)
    with _only_chief_prints(cluster):
        _run(values.stage, explicit, kept)


def _run(stage, explicit, kept):
    for name in ("stage", FLAG, *PROGRAM_FLAGS):
        explicit.pop(name, None)
    if not os.path.exists(os.path.join(explicit.get("workdir", ""), cfg.CONFIG_FILE)):
        # TensorFlow takes seconds to import; a mistaken flag should not wait for it.
        config_from(cfg.Config(), explicit, kept)
    with quiet_start():
        from ascl_tf.training.processes import open_work_directory
        from ascl_tf.training.run import check_protocols, run_stages
        from ascl_tf.training.run_data import resolve_dataset_name
        from ascl_tf.training.workdir import recorded_config

    chosen = set(kept)
    recorded = recorded_config(explicit["workdir"]) if "workdir" in explicit else None
    base = recorded or _as_pretrained(explicit, recorded_config)
    kept = kept if recorded else {*kept, *base.changes()}
    config = config_from(base, explicit, kept)
    config = config.replace(dataset=resolve_dataset_name(config.data))
    check_protocols(config.evaluation)
    if stage in (*cfg.TRAINING_STAGES, cfg.ALL) and config.attack.doubt is not None:
        print(f"warning: {one_line(config.attack.doubt)}", flush=True)
    workdir = open_work_directory(config.workdir or default_workdir(config))
    if "workdir" not in explicit:
        recorded = recorded_config(workdir.path)
        config = config_from(recorded, explicit, kept) if recorded else config
    if recorded is not None:
        _check_smoke(stage, recorded, explicit, config, workdir.path)
    if config.smoke:
        _tell_of_smoke((recorded or cfg.Config()).replace(**explicit), config)
    run_stages(config.with_chosen(chosen), stage, workdir)


def _as_pretrained(explicit, recorded_config):
    """Returns the settings of a new run: of images as the run that `--pretrained` names has them.

    Else it would be tested on images that its encoder has been trained on.
    """
    source = recorded_config(explicit["pretrained"]) if explicit.get("pretrained") else None
    if source is None:
        return cfg.Config()
    base = cfg.Config(**recorded_splits(source.to_json(), explicit.get(DATASET)))
    taken = {name: value for name, value in base.changes().items() if name not in explicit}
    if taken:
        told = " ".join(f"--{name}={value}" for name, value in taken.items())
        print(f"notice: {told}, as in the run that fine-tuning starts from", flush=True)
    return base


def _check_stage(stage, cluster):
    """Raises ConfigError for stages that one process runs."""
    if stage not in cfg.TRAINING_STAGES:
        raise ConfigError(
            f"--stage: expected {' or '.join(cfg.TRAINING_STAGES)} on the {cluster.num_workers} "
            f"workers that TF_CONFIG names, the others run in one process without it; "
            f"found {stage}"
        )


@contextlib.contextmanager
def _only_chief_prints(cluster):
    """Lets the chief of a cluster print alone; errors go to stderr from everywhere."""
    if cluster is None:
        yield
        return
    # What TensorFlow's libraries say of a lost worker is said again in one line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.ExitStack() as stack:
        if cluster.index > 0:
            nowhere = stack.enter_context(open(os.devnull, "w", errors="replace"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


def config_from(base, explicit, kept=()):
    """Returns `base` with what the command line sets.

    `base` is the config recorded in the work directory, where there is one: flags that are
    not given are settled there, so that `--stage=finetune --workdir=...` fine-tunes what
    was pre-trained there. `kept` names the flags that `--smoke` leaves as they are; what a
    smaller run has recorded is small already.
    """
    config = base.replace(**explicit)
    if not config.smoke:
        return config
    recorded = set(config.to_json()) - set(explicit) if base.smoke else set()
    return cfg.shrink(config, kept={*kept, *recorded})


def _check_smoke(stage, recorded, explicit, config, workdir):
    """Raises ConfigError for a command of full size in the folder of a smoke run, or the reverse.

    Later stages follow a smoke run without `--smoke`, as the `next:` lines have them.
    """
    if config.smoke and not recorded.smoke:
        raise ConfigError(
            f"--smoke: expected a --workdir of its own; found a run of full size in {workdir}"
        )
    if not recorded.smoke or explicit.get("smoke"):
        return
    is_small = config.smoke and config.to_json() == recorded.replace(**explicit).to_json()
    if is_small and stage not in (cfg.PRETRAIN, cfg.ALL):
        return
    raise ConfigError(
        f"--workdir={workdir}: expected a run of full size, or --smoke for the small one that is "
        "there; found no --smoke; pass it, or another --workdir"
    )


_TOLD_OF_SMOKE = ("dataset", "num_train_images", "width", "epochs")


def _tell_of_smoke(asked, config):
    """Says that --smoke has changed the run, so that nobody takes it for what was asked for."""
    before, after = asked.to_json(), config.to_json()
    others = set(method_sections()) - set(config.method_spec.settings)
    unused = {field.name for section in others for field in dataclasses.fields(section)}
    names = [name for name in after if after[name] != before[name] and name not in unused]
    told = [f"{name}={after[name]}" for name in _TOLD_OF_SMOKE if name in names]
    if names:
        told.append(
            f"{len(names) - len(told)} other settings changed; config.json has all settings"
        )
        print(f"notice: --smoke: {', '.join(told)}", flush=True)


def default_workdir(config):
    """Returns runs/<dataset>_<method>."""
    dataset = config.dataset.removeprefix("folder:").rstrip("/").rpartition("/")[2]
    if not dataset:
        raise ConfigError(f"--dataset={config.dataset}: expected a name to call the run by")
    # TensorFlow takes these for patterns in the names of files.
    dataset = re.sub(r"[*?\[\]\\]", "_", dataset)
    return os.path.join(DEFAULT_WORKDIRS, f"{dataset}_{config.method.rpartition(':')[2]}")


if __name__ == "__main__":
    run(sys.argv)
