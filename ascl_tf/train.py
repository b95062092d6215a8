"""Trains, fine-tunes, evaluates and exports: python -m ascl_tf.train --stage=pretrain."""

import os
import sys

from absl import flags

from ascl_tf import config as cfg
from ascl_tf.errors import ConfigError
from ascl_tf.flag_defs import define_flags, define_program_flags, parse, run_program, wants_help

DEFAULT_WORKDIRS = "runs"


def run(argv=None):
    """Console entry."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    run_program(main, argv)


def main(argv):
    """Parses the command line and runs the stages that it asks for."""
    values = define_flags(*cfg.SECTIONS)
    define_program_flags(values)
    flags.DEFINE_enum(
        "stage", cfg.PRETRAIN, [*cfg.STAGES, cfg.ALL], "What to do.", flag_values=values
    )
    explicit = parse(values, argv)
    if wants_help(values, __doc__):
        return
    for name in ("stage", "debug", "help"):
        explicit.pop(name, None)
    # TensorFlow takes seconds to import; a mistaken flag should not wait for it.
    config = config_from_explicit(explicit)
    from ascl_tf.training.run import run_stages
    from ascl_tf.training.run_data import resolve_dataset_name
    from ascl_tf.training.workdir import WorkDirectory

    config = resolve_dataset_name(config)
    run_stages(config, values.stage, WorkDirectory(config.workdir or default_workdir(config)))


def config_from_explicit(explicit):
    """Returns the config of a command line; what it leaves open comes from the work directory.

    A work directory that holds a run settles every flag that the command line does not
    set, so that `--stage=finetune --workdir=...` fine-tunes what was pre-trained there.
    """
    workdir = explicit.get("workdir", "")
    recorded = None
    if workdir and os.path.isdir(workdir):
        from ascl_tf.training.workdir import recorded_config

        recorded = recorded_config(workdir)
    config = (recorded or cfg.Config()).replace(**explicit)
    return cfg.shrink(config) if config.smoke else config


def default_workdir(config):
    """Returns runs/<dataset>_<method>."""
    dataset = config.dataset.removeprefix("folder:").rstrip("/").rpartition("/")[2]
    if not dataset:
        raise ConfigError(f"--dataset={config.dataset}: expected a name to call the run by")
    return os.path.join(DEFAULT_WORKDIRS, f"{dataset}_{config.method}")


if __name__ == "__main__":
    run(sys.argv)
