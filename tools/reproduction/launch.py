"""Calling the programs of steps: a process for each, or a few that live on."""

import json
import os
import pathlib
import queue
import shlex
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKER = "tools.reproduction.worker"
# A process that has traced many networks holds a lot of memory.
STEPS_PER_WORKER = 30


def shared_cores(jobs):
    """Returns the variables that give each of `jobs` programs its share of the cores.

    A program that runs alone keeps TensorFlow's own choice. Two programs with a thread each do
    more than one with two (docs/reproduce.md): a small network has operations too short to split.
    """
    if jobs == 1:
        return {}
    threads = str(max(1, len(os.sched_getaffinity(0)) // jobs))
    return {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}


class Launcher:
    """Calls each program in a process of its own.

    Attributes:
        prefix: what stands before the name of a program.
        environment: variables that the programs have where this process does not set them.
    """

    def __init__(self, prefix=(sys.executable, "-m"), environment=()):
        self.prefix = list(prefix)
        self.environment = dict(environment)
        self._processes = set()
        self._guard = threading.Lock()
        self._is_stopped = False

    def run(self, program, arguments, *, folder, log, kept_open):
        """Calls a program with `folder` as its place and returns its exit status.

        Args:
            program: module.
            arguments: list of text.
            folder: working directory.
            log: file that what it prints is added to.
            kept_open: an open file that the program has open too: its lock outlives a kill here.
        """
        with open(log, "ab") as output:
            process = self._start(
                [*self.prefix, program, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(kept_open,),
            )
        status = process.wait()
        self._forget(process)
        return status

    def stop(self):
        """Ends all programs that run, and starts no other."""
        with self._guard:
            self._is_stopped = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        """Ends what outlives a step."""

    def _start(self, command, **options):
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # What the user has set comes first.
        environment = {**self.environment, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        with self._guard:
            if self._is_stopped:
                raise InterruptedError("stopped")
            # Of its own session: Ctrl-C reaches this process alone, which then ends the others.
            process = subprocess.Popen(command, env=environment, start_new_session=True, **options)
            self._processes.add(process)
        return process

    def _forget(self, process):
        with self._guard:
            self._processes.discard(process)


class WorkerLauncher(Launcher):
    """Calls programs inside processes that have imported TensorFlow already, one at a time."""

    def __init__(self, *, small_network=False, environment=()):
        super().__init__(environment=environment)
        self._options = ["--small_network"] if small_network else []
        self._idle = queue.SimpleQueue()

    def run(self, program, arguments, *, folder, log, kept_open):
        """As `Launcher.run`."""
        worker = self._take(folder)
        process = worker["process"]
        request = {"program": program, "arguments": arguments, "log": str(log)}
        try:
            socket.send_fds(worker["files"], [b"."], [kept_open])
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except OSError:
            reply = ""
        worker["steps"] += 1
        if reply and worker["steps"] < STEPS_PER_WORKER:
            self._idle.put(worker)
        else:
            self._end(worker)
        # A worker that died has said nothing.
        return json.loads(reply)["status"] if reply else process.returncode or 1

    def close(self):
        """Ends the workers."""
        while not self._idle.empty():
            self._end(self._idle.get())

    def _take(self, folder):
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            files, theirs = socket.socketpair()
            with theirs:
                process = self._start(
                    [*self.prefix, WORKER, f"--files={theirs.fileno()}", *self._options],
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    text=True,
                )
            return {"process": process, "files": files, "steps": 0}

    def _end(self, worker):
        process = worker["process"]
        worker["files"].close()
        process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._forget(process)


def shown(program, arguments):
    """Returns a command as one would type it."""
    return shlex.join(["python", "-m", program, *arguments])
