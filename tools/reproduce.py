"""Makes the paper's tables and figures: trains what is missing, measures, and writes them.

    python tools/reproduce.py --artifact=table5 --preset=cpu --data_dir=<TFDS folder>
    python tools/reproduce.py --preset=smoke --jobs=2
    python tools/reproduce.py --artifact=table1,figure6 --preset=paper --seeds=0,1,2 --dry_run

What is done is not repeated; the same command continues where it was stopped. See
docs/reproduce.md.
"""

import argparse
import collections
import contextlib
import dataclasses
import os
import pathlib
import shlex
import sys
import tempfile

from rich.console import Console

# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from ascl_tf.config.paths import expand, expanded_path
from ascl_tf.errors import ConfigError, RunError, near_names  # noqa: E402
from ascl_tf.process import signals
from ascl_tf.process.files import remove_leftovers, write_text
from ascl_tf.process.locks import Lock
from ascl_tf.program import flag_defs
from tools.reproduction import data_sets, grids, report, tables  # noqa: E402
from tools.reproduction.artifacts import ARTIFACTS, AUTOATTACK, make_plan  # noqa: E402
from tools.reproduction.display import LiveDisplay, PlainDisplay, duration  # noqa: E402
from tools.reproduction.documents import pictures_of, recorded_steps, write_documents  # noqa: E402
from tools.reproduction.graph import ANALYZE, EVALUATE, TRAIN, Graph  # noqa: E402
from tools.reproduction.launch import Launcher, WorkerLauncher, shared_cores  # noqa: E402
from tools.reproduction.nodes import in_order  # noqa: E402
from tools.reproduction.presets import PRESETS, row_of_method  # noqa: E402
from tools.reproduction.scheduler import Interrupted, Settings, State, run_steps  # noqa: E402
from tools.reproduction.store import Store, wait_a_little  # noqa: E402

ALL = "all"
RUNS = "runs/reproduce"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ConfigError(message)


def run(argv=None):
    """Runs the program; a mistake is one line."""
    with signals.listening():
        flag_defs.run_program(main, sys.argv if argv is None else argv)


def main(argv, launcher=None):
    """Makes what the command line asks for; `launcher` calls the programs of the steps."""
    arguments = _parse(argv[1:])
    preset, graph = arguments.preset, Graph(arguments.preset)
    plans = _plans(arguments, graph)
    wanted = [node for plan in plans for node in _wanted(plan, arguments)]
    # It takes longest: whoever stops early has the other columns.
    nodes = in_order(sorted(wanted, key=lambda node: node.kind == AUTOATTACK))
    store = Store(arguments.runs / preset.name)
    if arguments.dry_run:
        _print_steps(nodes, store, arguments.jobs)
        return
    left_out = _without_data(nodes, store, arguments)
    nodes = [node for node in nodes if node.key not in left_out]
    _check_writable("runs", arguments.runs)
    _check_writable("output", arguments.output)
    settings = Settings(
        store, launcher or _make_launcher(arguments), arguments.jobs, _machine_flags(arguments)
    )
    states, stopped_by = {}, None
    with _make_display(plans, nodes, store, arguments.jobs) as display:
        try:
            states = run_steps(nodes, settings, display)
        except Interrupted as stop:
            states, stopped_by = display.states, stop.number
    _write_results(plans, states, graph, store, arguments)
    if stopped_by is not None:
        print(f"stopped; to continue: {shlex.join(['python', 'tools/reproduce.py', *argv[1:]])}")
        sys.exit(128 + stopped_by)
    _exit_on_failure(states, left_out, arguments)


def _plans(arguments, graph):
    """Returns the plan of each artifact, without those of which the preset has no rows."""
    plans = [make_plan(artifact, graph, arguments.seeds) for artifact in arguments.artifacts]
    empty = [plan.artifact.name for plan in plans if not plan.nodes()]
    if empty and arguments.artifact != ALL:
        raise ConfigError(
            f"--artifact={empty[0]}: expected a preset that has its rows, such as cpu; "
            f"found --preset={graph.preset.name}"
        )
    return [plan for plan in plans if plan.nodes()]


def _parse(arguments):
    parser = _Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", default=ALL, help=f"{ALL}, or of {', '.join(ARTIFACTS)}")
    parser.add_argument("--preset", default="smoke", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--method", default="", help="methods of your own, as my_file:MyMethod")
    parser.add_argument(
        "--seeds", help="numbers, separated by commas; default: 0, and more where the preset says"
    )
    parser.add_argument("--jobs", default="1", help="steps at once")
    parser.add_argument("--runs", type=expanded_path, default=pathlib.Path(RUNS))
    parser.add_argument("--output", type=expanded_path, help="default: results, of smoke in --runs")
    parser.add_argument(
        "--data_dir", type=expand, default="", help="folder of data sets in TFDS layout"
    )
    parser.add_argument("--download", action="store_true", help="fetch data sets that are absent")
    parser.add_argument(
        "--missing", action="store_true", help="leave out what --output has records of"
    )
    parser.add_argument("--dry_run", action="store_true", help="only list the steps")
    parser.add_argument("--debug", action="store_true", help="show tracebacks of errors")
    found = parser.parse_args(arguments)
    found.artifacts = _artifacts(found.artifact)
    found.preset = _choice("preset", found.preset, PRESETS)
    found.preset = _with_methods(found.preset, found.method)
    if found.seeds is None:
        found.seeds = "0"
    else:
        found.preset = dataclasses.replace(found.preset, more_seeds={})
    found.seeds = _numbers("seeds", found.seeds, minimum=0)
    (found.jobs,) = _numbers("jobs", found.jobs, minimum=1, count=1)
    if found.output is None:
        # Numbers of a smoke test are no results.
        is_published = found.preset.is_published
        found.output = pathlib.Path("results") if is_published else found.runs / "results"
    return found


def _wanted(plan, arguments):
    """Returns the steps of a plan that are to be done, or are done."""
    folder = arguments.output / arguments.preset.name / plan.artifact.name
    recorded = recorded_steps(folder) if arguments.missing else ()
    return [node for node in plan.nodes() if node.name not in recorded]


def _without_data(nodes, store, arguments):
    """Returns the keys of the steps that are left out: their data set is not there.

    Raises:
        RunError: if that leaves none.
    """
    to_do = [node for node in nodes if not store.is_done(node)]
    absent = data_sets.find_absent(to_do, arguments.data_dir)
    if arguments.download:
        data_sets.download(absent, arguments.data_dir)
        return set()
    if not absent:
        return set()
    left_out = data_sets.keys_without_data(to_do, absent)
    place = f"--data_dir={arguments.data_dir}" if arguments.data_dir else "--data_dir"
    expected = f"{place}: expected a folder that holds {', '.join(absent)} in TFDS layout"
    if len(left_out) == len(nodes):
        raise RunError(f"{expected}; found none; --download fetches what is absent")
    print(f"warning: {expected}; {len(left_out)} of {len(nodes)} steps cannot be done without")
    return left_out


def _with_methods(preset, text):
    """Returns the preset with a row beside Table 1 for each method of the user's own."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names:
        # The steps run in folders of their own, and import the method from here.
        paths = [os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    own = tuple(row_of_method(name) for name in names)
    return dataclasses.replace(preset, extra_rows=(*preset.extra_rows, *own))


def _artifacts(text):
    names = list(ARTIFACTS) if text == ALL else text.split(",")
    chosen = [_choice("artifact", name.strip(), ARTIFACTS, also=(ALL,)) for name in names]
    return list({artifact.name: artifact for artifact in chosen}.values())


def _choice(flag, name, known, also=()):
    if name not in known:
        names = (*also, *known)
        found = f"{name!r}{near_names(name, names)}"
        raise ConfigError(f"--{flag}: expected one of {', '.join(names)}; found {found}")
    return known[name]


def _numbers(flag, text, *, minimum, count=None):
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        numbers = ()
    is_valid = numbers and min(numbers) >= minimum and max(numbers) < 2**31
    if not is_valid or (count is not None and len(numbers) != count):
        expected = "a whole number" if count == 1 else "whole numbers, separated by commas,"
        raise ConfigError(f"--{flag}: expected {expected} >= {minimum}; found {text!r}")
    return numbers


def _check_writable(flag, folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RunError(
            f"--{flag}={folder}: expected a folder that can be written; found: {error.strerror}"
        ) from None


def _make_launcher(arguments):
    environment = shared_cores(arguments.jobs)
    if arguments.preset.is_smoke:
        return WorkerLauncher(small_network=True, environment=environment)
    return Launcher(environment=environment)


def _machine_flags(arguments):
    """Returns what settles something of this machine, for each program."""
    data_dir = [f"--data_dir={pathlib.Path(arguments.data_dir).absolute()}"]
    common = data_dir if arguments.data_dir else []
    # Two strategies clash in one process.
    train = [*common, "--num_replicas=1"] if arguments.preset.is_smoke else common
    return {TRAIN: train, EVALUATE: common, ANALYZE: common}


def _make_display(plans, nodes, store, jobs):
    owners = {}
    for plan in plans:
        for node in in_order(plan.nodes()):
            owners.setdefault(node.key, plan.artifact.name)
    console = Console()
    if console.is_terminal:
        return LiveDisplay(nodes, owners, store, jobs, console=console)
    return PlainDisplay(nodes, owners, store, jobs)


def _print_steps(nodes, store, jobs):
    """Lists the steps, what is done of them, and how long the rest may take."""
    is_done = {node.key: store.is_done(node) for node in nodes}
    for node in nodes:
        state = "done" if is_done[node.key] else duration(node.seconds)
        print(f"{node.name:<26}{state:>8}  {node.title}")
    kinds = collections.Counter(node.kind for node in nodes)
    print(f"{len(nodes)} steps: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}")
    left = sum(node.seconds for node in nodes if not is_done[node.key])
    told = f"{duration(left / jobs)} with --jobs={jobs}, a CPU core each"
    print(f"done: {sum(is_done.values())}; the others: about {told}")


def _write_results(plans, states, graph, store, arguments):
    folder = arguments.output / arguments.preset.name
    failed = {key for key, state in states.items() if state in (State.FAILED, State.SKIPPED)}
    with _alone_in(folder):
        for plan in plans:
            _write_artifact(plan, failed, graph, store, arguments, folder / plan.artifact.name)
        write_text(folder / "report.html", report.make_report(graph, folder))
    print(f"report: {folder / 'report.html'}")


@contextlib.contextmanager
def _alone_in(folder):
    """Lets one process at a time write results, without what a killed one has left."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder / "results.lock")
    while not lock.acquire():
        wait_a_little()
    try:
        for place in (folder, *folder.glob("*/")):
            remove_leftovers(place)
        yield
    finally:
        lock.release()


def _write_artifact(plan, failed, graph, store, arguments, folder):
    document = write_documents(
        plan,
        store,
        folder,
        preset=arguments.preset,
        command=_command(arguments, plan.artifact.name),
        failed=failed,
    )
    for name, write in plan.artifact.plots.items() if document["records"] else ():
        write(document, folder / name)
    _write_tables(plan.artifact, graph, document, folder)


def _write_tables(artifact, graph, document, folder):
    parts = [grids.to_markdown(grid) for grid in tables.make_grids(artifact, graph, document)]
    pictures = pictures_of(artifact, document)
    parts += [f"![{artifact.heading}]({name}.png)\n" for name in pictures]
    text = "\n".join([f"# {artifact.heading}\n", *parts, f"`{document['command']}`\n"])
    write_text(folder / "table.md", text)
    write_text(folder / "table.csv", tables.to_csv(artifact, graph, document))


def _command(arguments, artifact):
    """Returns the command that makes an artifact, without the places of a machine."""
    more = [f"--artifact={artifact}", f"--preset={arguments.preset.name}"]
    if not arguments.preset.more_seeds:
        more.append(f"--seeds={','.join(map(str, arguments.seeds))}")
    return shlex.join(["python", "tools/reproduce.py", *more])


def _exit_on_failure(states, left_out, arguments):
    counts = collections.Counter(states.values())
    told = []
    if counts[State.FAILED]:
        told.append(
            f"{counts[State.FAILED]} steps failed, {counts[State.SKIPPED]} that need them were "
            f"left out; their logs: {arguments.runs / arguments.preset.name}/<step>/log.txt"
        )
    if left_out:
        told.append(f"{len(left_out)} steps were left out: their data set is not there")
    if told:
        print(f"error: {'; '.join(told)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
