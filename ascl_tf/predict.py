"""Classifies pictures: python -m ascl_tf.predict --model=<model> pictures/*

    python -m ascl_tf.predict --model=runs/mine/export/finetune_laf cat.jpg holiday/
    find . -name '*.png' | python -m ascl_tf.predict --model=<...> --list=- --format=jsonl
    python -m ascl_tf.predict --model=<...> --embed=features.npz pictures/

Name picture files, or folders, which are searched at any depth. Pictures are read and resized to
the model's size as in training. A picture that cannot be read is reported on its own line; the
others are still processed, and the exit status is 1.
"""

import codecs
import json
import os
import sys

import numpy as np
from rich.console import Console

from ascl_tf.errors import ConfigError, RunError, renamed
from ascl_tf.process import signals
from ascl_tf.process.bars import make_bars
from ascl_tf.process.files import check_file_place, check_outside, write_whole
from ascl_tf.process.terminal import encodable, on_one_line, quiet_start
from ascl_tf.program import flag_defs
from ascl_tf.program.messages import as_flag, refused
from ascl_tf.program.prediction_table import PredictionTable

with flag_defs.importing(), quiet_start():
    from ascl_tf.process.failures import memory_errors_as_one_line
    from ascl_tf.program.predict_settings import AUTO, JSON_LINES, PredictConfig
    from ascl_tf.serving.opening import open_model
    from ascl_tf.serving.prediction import features_of, find_pictures, predictions, stacked


def main(argv):
    """Says what the command line asks for; exits with 1 if a picture could not be read."""
    given: list[str] = []
    settings = flag_defs.parse_program(PredictConfig, argv, __doc__, given)
    if settings is None:
        return
    config = PredictConfig(**settings)
    if config.embed:
        check_outside("embed", config.embed, [config.model])
        check_file_place("embed", config.embed)
    names = [*given, *_listed(config)]
    if not names:
        raise ConfigError("command line: expected pictures, folders or --list; found none")
    opened = _open(config)
    files = list(find_pictures(names))
    memory = renamed(evaluation_batch_size="batch_size")
    with refused(as_flag("model", config.model)), memory, _memory(config, opened):
        num_failed = (_embed if config.embed else _classify)(config, opened, files)
    if num_failed:
        print(f"{num_failed} of {len(files)} files could not be read", file=sys.stderr)
        sys.exit(1)


def run(argv=None):
    """Runs the program; the console entry `ascl-predict`."""
    with signals.listening():
        flag_defs.run_program(main, argv)


def _listed(config):
    """Returns the names in the file of `--list`, or on standard input."""
    if not config.list:
        return []
    try:
        if config.list == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(config.list, "rb") as file:
                content = file.read()
    except OSError as error:
        raise RunError(
            field="list", value=config.list, expected="a readable file", cause=error.strerror
        ) from None
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _open(config):
    with renamed(path="model"):
        return open_model(
            config.model,
            image_size=config.image_size or None,
            resize=None if config.resize == AUTO else config.resize,
            trust_model=config.trust_model,
        )


def _memory(config, opened):
    height, width, _ = opened.image_shape
    return memory_errors_as_one_line(config.batch_size, f"of {height} x {width} pixels")


def _classify(config, opened, files):
    """Prints what the model says of each picture; returns how many could not be read."""
    num_failed = 0
    show = _print_json if config.format == JSON_LINES else PredictionTable(opened.class_names).show
    with _progress(len(files), is_wrapped=config.format != JSON_LINES) as advance:
        found = predictions(opened, files, top_k=config.top_k, batch_size=config.batch_size)
        for prediction in found:
            show(prediction)
            num_failed += bool(prediction.error)
            advance()
    return num_failed


def _embed(config, opened, files):
    """Writes the features of the pictures; returns how many could not be read."""
    read, rows = [], []
    with _progress(len(files)) as advance:
        for file, features, error in features_of(opened, files, batch_size=config.batch_size):
            if error:
                print(f"{on_one_line(file)}: {error}", flush=True)
            else:
                read.append(encodable(file))
                rows.append(features)
            advance()
    if not read:
        return len(files)  # What may be there from before is worth more than none.
    features = stacked(rows)
    arrays = {"features": features, "files": np.array(read, str)}
    write_whole(config.embed, lambda file: np.savez(file, **arrays))
    print(f"features: {config.embed}, {len(read)} pictures, {features.shape[1]} numbers each")
    return len(files) - len(read)


def _print_json(prediction):
    line = {"file": encodable(prediction.file)}
    if prediction.error:
        line["error"] = prediction.error
    else:
        parts = zip(
            prediction.classes, prediction.class_names, prediction.probabilities, strict=True
        )
        ranked = [{"class": c, "class_name": n, "probability": p} for c, n, p in parts]
        line |= ranked[0] if len(ranked) == 1 else {**ranked[0], "top": ranked}
    print(json.dumps(line, ensure_ascii=False), flush=True)


class _progress:
    """A bar on stderr, where that is a terminal: what is printed may go to a file or program."""

    def __init__(self, total, *, is_wrapped=True):
        console, is_shown = Console(stderr=True), sys.stdout.isatty()
        # On one terminal lines are printed above the bar; a bar would break JSON lines there.
        is_off = not console.is_terminal or (is_shown and not is_wrapped)
        self._bars = make_bars(console, transient=True, redirect_stdout=is_shown, disable=is_off)
        self._total = total

    def __enter__(self):
        self._bars.start()
        task = self._bars.add_task("pictures", total=self._total)
        return lambda: self._bars.advance(task)

    def __exit__(self, *_):
        self._bars.stop()


if __name__ == "__main__":
    run()
