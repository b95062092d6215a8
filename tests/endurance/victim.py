"""A run in a process of its own that says where it is, so that it can be killed there.

The process is forked from one that has imported TensorFlow and has not used it yet: starting
a run then takes no seconds.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import signal
import sys
import time
import traceback
import types

from ascl_tf.config import ALL
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.autoattack_protocol import AutoAttackOptions
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.evaluation.records import write_records
from ascl_tf.training import callbacks, checkpoints, fitting, run, trained
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly
from tests.training.worlds import make_tiny_world

TRAINING, CHECKPOINT, VALIDATION = "training", "checkpoint", "validation"
RECORD, EVALUATION, EXPORT = "record", "evaluation", "export"
AUTOATTACK = "autoattack"
PHASES = (TRAINING, CHECKPOINT, VALIDATION, RECORD, EVALUATION, EXPORT, AUTOATTACK)
OF_PRE_TRAINING = {TRAINING, CHECKPOINT, VALIDATION}
BEGIN, END = "+", "-"


class Victim:
    """A run that has been started; its steps are no graphs.

    Args:
        method: of pre-training.
        workdir: work directory; a run that was killed there continues.
        stage: of the run, `ALL` or one of them.
        is_attacked: whether AutoAttack follows the stages.

    Attributes:
        phases: (name, seconds) of every phase that has ended, in order.
    """

    def __init__(self, method, workdir, *, stage=ALL, is_attacked=True):
        self.phases, self._open = [], {}
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _be_the_victim(method, pathlib.Path(workdir), stage, is_attacked, writing)
        os.close(writing)
        self._marks = os.fdopen(reading, encoding="utf-8")

    def finish(self):
        """Waits for the end; returns the exit status."""
        self._read_marks()
        return self._wait()

    def kill_in(self, phase, occurrence, delay):
        """Kills it some seconds after this occurrence of a phase has begun.

        Returns:
            The phases in which it died, () for none; None if it ended before.
        """
        begun = (name for sign, name in self._marks_as_they_come() if sign == BEGIN)
        for _ in (name for name in begun if name == phase):
            occurrence -= 1
            if occurrence < 0:
                time.sleep(delay)
                os.kill(self.pid, signal.SIGKILL)
                self._read_marks()
                return tuple(self._open) if self._wait() == -signal.SIGKILL else None
        self._wait()
        return None

    def _read_marks(self):
        for _ in self._marks_as_they_come():
            pass

    def _marks_as_they_come(self):
        for line in self._marks:
            sign, name, seconds = line[0], *line[1:].split()
            if sign == BEGIN:
                self._open[name] = float(seconds)
            elif name in self._open:
                self.phases.append((name, float(seconds) - self._open.pop(name)))
            yield sign, name

    def _wait(self):
        self._marks.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _be_the_victim(method, workdir, stage, is_attacked, marks):
    """Runs, and ends the process."""
    status = 1
    try:
        _write_output_to(workdir.with_suffix(".log"))
        config = make_tiny_world(types.SimpleNamespace(setattr=setattr))
        mark_phases(functools.partial(_write_mark, marks))
        settings = {"finetune": "lsf", "protocol": "standard,fgsm", "checkpoint_every": 3}
        config, workdir = config.replace(method=method, **settings), WorkDirectory(workdir)
        with eagerly():
            run.run_stages(config, stage, workdir)
        if is_attacked:
            measure_autoattack(config, workdir)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def measure_autoattack(config, workdir):
    """Does what `ascl_tf.evaluate --protocol=autoattack_fast --resume` does, on the last weights.

    Not on the exported model: Keras writes it anew with other bytes, and a state is of one file.
    """
    test = trained.load_test_data(config)
    classifier = trained.load_classifier(config, workdir, test, checkpoints.LAST)
    # At the usual radius nothing that this tiny network gets right would be lost.
    protocol = dataclasses.replace(get_protocol("autoattack_fast"), epsilon="64/255")
    output = workdir.results(AUTOATTACK)
    options = AutoAttackOptions(state_path=str(output), resume=True)
    records = evaluate_robustness(
        classifier, test, protocol, batch_size=2, seed=config.seed, autoattack_options=options
    )
    write_records(output, records)
    options.forget([protocol])


def _write_output_to(log):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _write_mark(descriptor, sign, name):
    # Short writes into a pipe are whole.
    os.write(descriptor, f"{sign}{name} {time.monotonic():.6f}\n".encode())


def mark_phases(mark):
    """Lets the run call `mark(sign, phase)` where a phase begins and ends."""
    _enclose(checkpoints.StageCheckpoints, "_write", CHECKPOINT, mark)
    _enclose(callbacks.Validate, "on_epoch_end", VALIDATION, mark)
    _enclose(WorkDirectory, "write_record", RECORD, mark)
    _enclose(run, "evaluate", EVALUATION, mark)
    _enclose(run, "export", EXPORT, mark)
    _enclose(sys.modules[__name__], "measure_autoattack", AUTOATTACK, mark)
    _mark_training(mark)


def _enclose(place, name, phase, mark):
    function = getattr(place, name)

    @functools.wraps(function)
    def enclosed(*arguments, **settings):
        with _marked(phase, mark):
            return function(*arguments, **settings)

    setattr(place, name, enclosed)


@contextlib.contextmanager
def _marked(phase, mark):
    mark(BEGIN, phase)
    yield
    mark(END, phase)


def _mark_training(mark):
    """Training begins with its second step: the first one is mostly tracing."""
    on_end, fit = callbacks.ContinueEpoch.on_train_batch_end, fitting.StageFit._fit_until

    def on_train_batch_end(self, batch, logs=None):
        on_end(self, batch, logs)
        if batch == 0:
            mark(BEGIN, TRAINING)

    def marked_fit(self, *arguments, **settings):
        fit(self, *arguments, **settings)
        mark(END, TRAINING)

    callbacks.ContinueEpoch.on_train_batch_end = on_train_batch_end
    fitting.StageFit._fit_until = marked_fit
