"""Measures the robustness of any exported classifier, ours or not.

    python -m ascl_tf.evaluate --model=<SavedModel or .keras> --dataset=cifar10 \\
        --protocol=standard,pgd20 --output=records.json

The model maps float32 images in [0, 1] to logits. A SavedModel is called through its signature
`serving_default`, which has an output `logits` or a single output. Several models, comma-separated,
form one classifier that decides by the mean of their probabilities.

`--protocol` also takes `sweep_steps`, `sweep_epsilon` and `corruptions`, which measure curves, and
variants with other numbers, such as `pgd20@epsilon=4/255,num_steps=50`.

    python -m ascl_tf.evaluate --targets=at=<path>,ascl=<path> --output=records.json

attacks each model with examples made on the others.

    python -m ascl_tf.evaluate --compare=at.json,ascl.json

compares two record files: how much better one model is than the other, and how certain that is.
"""

import contextlib
import os

from rich.console import Console

from ascl_tf.errors import RunError, renamed
from ascl_tf.process import signals
from ascl_tf.process.files import check_file_place, check_outside, remove_leftovers_of
from ascl_tf.process.terminal import quiet_start
from ascl_tf.process.tf_config import check_single_process
from ascl_tf.program import flag_defs
from ascl_tf.program.messages import as_flag, refused

with flag_defs.importing(), quiet_start():
    from ascl_tf.evaluation import checks, evaluate_robustness
    from ascl_tf.evaluation.autoattack_protocol import AUTOATTACK
    from ascl_tf.evaluation.batch_attacks import CompiledAttacks
    from ascl_tf.evaluation.black_box import TRANSFER, transfer_matrix
    from ascl_tf.evaluation.comparison import compare_files, write_comparisons
    from ascl_tf.evaluation.display import evaluation_progress, print_comparisons, print_summary
    from ascl_tf.evaluation.model_ensemble import (
        describe_models,
        mean_probability_logits,
        member_paths,
    )
    from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS, SWEEP_STEPS
    from ascl_tf.evaluation.records import KeptRecords, earlier_records, model_sha256
    from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
    from ascl_tf.process.failures import memory_errors_as_one_line
    from ascl_tf.program.evaluate_settings import BASIC, EvaluateConfig
    from ascl_tf.program.inputs import check_classes, check_fit, explain_seen, load_images
    from ascl_tf.program.protocol_help import wants_protocols, with_protocols
    from ascl_tf.serving.loading import load_logits_function


def main(argv):
    """Evaluates as the command line says, writes the records and prints a table.

    What is finished is written before the next begins, and shown whatever ends the evaluation.
    """
    config = _parse(argv)
    if config is None:
        return
    if config.compare:
        _compare(config)
        return
    check_single_process()
    _check_places(config)
    console = Console()
    measure_all = _evaluate_transfer if config.targets else _evaluate_model
    with contextlib.ExitStack() as at_the_end:
        measure_all(config, console, at_the_end)
        config.autoattack_options().forget(config.protocols())


def run(argv=None):
    """Runs the program; the console entry `ascl-evaluate`."""
    with signals.listening():
        flag_defs.run_program(main, argv, go_on=_go_on)


def _parse(argv):
    """Returns the config of a command line, or None where it only asked for help."""
    settings = flag_defs.parse_program(EvaluateConfig, argv, with_protocols(__doc__), basic=BASIC)
    if settings is None or wants_protocols(settings):
        return None
    return EvaluateConfig.from_flags(settings)


def _go_on(argv):
    """Returns the command line that goes on: AutoAttack from the state that it has left."""
    config = _parse(argv)
    if config is None or config.resume:
        return argv
    is_begun = config.autoattack_options().is_begun(config.protocols())
    return [*argv, "--resume"] if is_begun else argv


def _compare(config):
    """Compares the records of two files, prints a table and writes what `--output` asks for."""
    if config.output:
        check_file_place("output", config.output)
    paths = config.compared_files()
    compared = compare_files(*paths)
    print_comparisons(compared, paths, Console())
    if config.output:
        write_comparisons(config.output, compared)


def _check_places(config):
    """Tries the places of the results before hours are spent on them."""
    for flag in ("output", "adversarial_images"):
        if getattr(config, flag):
            check_outside(flag, getattr(config, flag), config.model_paths())
            check_file_place(flag, getattr(config, flag))
            remove_leftovers_of(getattr(config, flag))
    images = config.adversarial_images
    if images and not images.endswith(".npz") and os.path.exists(images):
        raise RunError(
            f"--adversarial_images={images}: expected a new file, or an .npz to replace; "
            "found another file"
        )
    config.autoattack_options().check(config.protocols())
    if config.resume:
        _explain_resume(config)
    if config.output:
        try:
            earlier_records(config.output)
        except RunError as error:
            # It would be replaced.
            raise RunError(f"--output={error}") from error


def _explain_resume(config):
    """Says where `--resume` has nothing to continue."""
    if all(protocol.kind != AUTOATTACK for protocol in config.protocols()):
        print(f"notice: --resume: nothing to continue, no AutoAttack in {config.protocol}")
    elif not config.autoattack_options().is_begun(config.protocols()):
        print(f"notice: --resume: no state beside {config.output}; AutoAttack starts over")


def _kept_records(config, dataset, to_come, console, at_the_end):
    """Returns the `KeptRecords` of this program, which are shown when `at_the_end` closes.

    Args:
        to_come: what the records will say of their model, a dictionary for each.

    Raises:
        RunError: if the file holds records of something else.
    """
    seen = explain_seen(config, dataset)

    def complete(records):
        return records if seen is None else checks.add(records, checks.CHECK, seen)

    def show():
        if kept.records():
            print_summary(kept.records(), console, dataset.num_classes)
            if config.output:
                for line in filter(None, (kept.notice(), f"records: {config.output}")):
                    console.print(line, markup=False, soft_wrap=True, highlight=False)

    kept = KeptRecords(config.output or None, complete)
    images = {"data_sha256": dataset.sha256, "seed": config.seed}
    images["num_images"] = config.num_images or len(dataset.labels)
    kept.check_subjects([images | fields for fields in to_come])
    at_the_end.callback(show)
    return kept


def _evaluate_model(config, console, at_the_end):
    """Measures one classifier under everything that `--protocol` names."""
    paths = member_paths(config.model)
    members = [_load(config, path, "model") for path in paths]
    dataset = load_images(config)
    for path, member in zip(paths, members, strict=True):
        check_classes(path, dataset, as_flag("model", path))
        check_fit(member, dataset, as_flag("model", path), num_images=config.num_images)
    with _refusals_as_one_line(config, "model", dataset):
        corruption_settings = config.corruption_settings(dataset)
    description = describe_models(paths)
    kept = _kept_records(config, dataset, [description], console, at_the_end)
    classifier = members[0] if len(members) == 1 else mean_probability_logits(members)
    attacks = CompiledAttacks(classifier)
    with evaluation_progress(console) as progress, _refusals_as_one_line(config, "model", dataset):
        settings = _settings(config, progress) | {"model_sha256": description["model_sha256"]}
        protocols = config.protocols()
        if protocols:
            evaluate_robustness(
                attacks,
                dataset,
                protocols,
                autoattack_options=config.autoattack_options(),
                on_records=kept.part(**description),
                **settings,
            )
        for name in config.series():
            settings["on_records"] = kept.part(**description)
            _measure_series(name, attacks, dataset, settings, corruption_settings)


def _measure_series(name, attacks, dataset, settings, corruption_settings):
    if name == COMMON_CORRUPTIONS:
        # Imported late: only those who ask for corruptions pay for their libraries.
        from ascl_tf.evaluation.common_corruptions import evaluate_corruptions

        evaluate_corruptions(attacks, dataset, **settings, **corruption_settings)
    elif name == SWEEP_STEPS:
        sweep_steps(attacks, dataset, **settings)
    else:
        sweep_epsilons(attacks, dataset, **settings)


def _evaluate_transfer(config, console, at_the_end):
    """Measures `--targets` under the examples of `--sources`."""
    targets, sources = config.target_paths(), config.source_paths()
    flags = {label: f"sources={label}" for label in sources}
    flags |= {label: f"targets={label}" for label in targets}
    paths = sources | targets
    models = {label: _load(config, path, flags[label]) for label, path in paths.items()}
    dataset = load_images(config)
    for label, model in models.items():
        check_classes(paths[label], dataset, as_flag(flags[label], paths[label]))
        check_fit(model, dataset, as_flag(flags[label], paths[label]), num_images=config.num_images)
    hashes = {label: model_sha256(path) for label, path in paths.items()}
    (protocol,) = config.protocols()
    to_come = [
        {"protocol": f"{TRANSFER}{protocol.name}", "model_sha256": hashes[t]}
        | {"target": t, "source": s}
        for t in targets
        for s in sources
        if config.diagonal or t != s
    ]
    kept = _kept_records(config, dataset, to_come, console, at_the_end)
    with (
        evaluation_progress(console) as progress,
        _refusals_as_one_line(config, "targets", dataset),
    ):
        transfer_matrix(
            models,
            dataset,
            protocol=protocol,
            sources=list(sources),
            targets=list(targets),
            diagonal=config.diagonal,
            model_sha256=hashes,
            on_records=kept.part(),
            **_settings(config, progress),
        )


def _load(config, path, flag):
    with renamed(path=flag):
        return load_logits_function(path, trust_model=config.trust_model)


def _settings(config, progress):
    return {
        "batch_size": config.evaluation_batch_size,
        "seed": config.seed,
        "num_images": config.num_images or None,
        "progress": progress,
    }


@contextlib.contextmanager
def _refusals_as_one_line(config, flag, dataset):
    """Makes one line that names model and data of what a measurement refuses."""
    height, width = dataset.images.shape[1:3]
    memory = memory_errors_as_one_line(
        config.evaluation_batch_size, f"of {height} x {width} pixels"
    )
    with refused(f"{as_flag(flag, config.model or None)} on {dataset.name}"), memory:
        yield


if __name__ == "__main__":
    run()
