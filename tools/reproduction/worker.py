"""A process that imports TensorFlow once and calls programs one after another.

Reads a line of JSON for each from standard input: `program`, `arguments`, `log`; answers on
standard output with the exit status. Before each line a file comes through the socket --files,
which is open until the program has ended. For --preset=smoke, where importing takes most of the
time.
"""

import gc
import importlib
import json
import os
import socket
import sys
import traceback

SMALLEST = (0, 0, 0, 1)


def main(argv):
    """Serves until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if "--small_network" in argv:
        _use_small_network()
    files = socket.socket(fileno=int(argv[1].removeprefix("--files=")))
    for line in sys.stdin:
        request = json.loads(line)
        _, (kept_open,), _, _ = socket.recv_fds(files, 1, 1)
        status = _call_with_log(request)
        os.close(kept_open)
        replies.write(json.dumps({"status": status}) + "\n")
        replies.flush()


def call(program, arguments):
    """Calls a program's `main` and returns its exit status; tracebacks are printed."""
    from ascl_tf.program import flag_defs

    try:
        module = importlib.import_module(program)
        flag_defs.run_program(module.main, [program, *arguments])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _call_with_log(request):
    """Calls a program with standard output and error going to its log."""
    saved = [os.dup(1), os.dup(2)]
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        return call(request["program"], request["arguments"])
    finally:
        _forget_models()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(log)


def _use_small_network():
    """Leaves one block of eight in ResNet-18: rows differ in what is done with it."""
    from ascl_tf.process.terminal import quiet_start

    with quiet_start():
        from ascl_tf.models import resnet

    resnet.BLOCKS_PER_STAGE[18] = SMALLEST


def _forget_models():
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    gc.collect()


if __name__ == "__main__":
    main(sys.argv)
