"""The folder that a run leaves behind, and the guard over what it already holds.

config.json  flags.txt  environment.json
checkpoints/<stage>/{last,best}/  tensorboard/<stage>/  results/<stage>.json  export/<stage>/
"""

import contextlib
import json
import os
import pathlib
import platform
import tempfile

import tensorflow as tf

from ascl_tf.config import CONFIG_FILE, FORMATS, config_from_json, find_differences
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation.records import checkout_commit, environment_versions
from ascl_tf.process.files import remove_leftovers, write_text
from ascl_tf.process.locks import Lock

PATTERN_CHARACTERS = "*?[]\\"


class WorkDirectory:
    """The work directory at `path`. Nothing is made before the first stage begins."""

    def __init__(self, path):
        # Absolute: the process may change its own folder while a run lasts.
        self.path = pathlib.Path(path).absolute()
        self._lock = RunLock(self.path)
        _check_no_pattern(self.path)
        existing = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not (existing.is_dir() and os.access(existing, os.W_OK)):
            found = "a folder without write permission" if existing.is_dir() else "a file"
            raise RunError(
                field="workdir",
                value=path,
                expected="a folder that can be written",
                found=f"{found} at {existing}",
            )

    def held(self):
        """Keeps other runs out while the context that is returned is open, see `RunLock`."""
        return self._lock.held()

    def make(self):
        """Makes the folder, and tries to write into it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise RunError(
                field="workdir",
                value=self.path,
                expected="a folder that can be written",
                cause=error.strerror,
            ) from None
        self._lock.claim()

    def checkpoints(self, stage):
        """Returns the folder of a stage's checkpoints."""
        return self.path / "checkpoints" / stage

    def tensorboard(self, stage):
        """Returns the folder of a stage's TensorBoard logs."""
        return self.path / "tensorboard" / stage

    def results(self, stage):
        """Returns the file of a stage's records."""
        return self.path / "results" / f"{stage}.json"

    def export(self, stage):
        """Returns the folder of a stage's SavedModel."""
        return self.path / "export" / stage

    def write_record(self, stage, document):
        """Writes the record of a training stage, whole or not at all."""
        write_text(self.results(stage), json.dumps(document, indent=1, sort_keys=True) + "\n")

    def class_names(self, stage):
        """Returns the classes that a stage was trained on; None where its record says none."""
        try:
            return json.loads(self.results(stage).read_text(encoding="utf-8")).get("class_names")
        except (OSError, ValueError, AttributeError, RecursionError):
            return None  # Of an earlier version, or damaged; what is measured needs none.

    def stage_identities(self):
        """Returns what was settled for each stage that has begun: name -> settings."""
        return _read_document(self.path).get("stages", {})

    def check_stage(self, name, identity):
        """Raises ConfigError, naming the settings, if a stage has begun with other settings."""
        recorded = self.stage_identities().get(name, identity)
        check_same_settings(recorded, identity, f"{self.path}, stage {name}")

    def begin_stage(self, name, identity, config):
        """Records that a stage runs with these settings, after `check_stage`."""
        self.check_stage(name, identity)
        self.make()
        self.check_stage(name, identity)  # Another run may have had the folder until now.
        stages = self.stage_identities()
        stages[name] = identity
        document = {"settings": config.to_json(), "stages": stages}
        write_text(self.path / CONFIG_FILE, json.dumps(document, indent=2, sort_keys=True) + "\n")
        write_text(self.path / "flags.txt", flagfile_text(config))
        environment = json.dumps(describe_environment(), indent=2, sort_keys=True)
        write_text(self.path / "environment.json", environment + "\n")


def _check_no_pattern(path):
    """Raises ConfigError for names that TensorFlow does not find again when it reads."""
    if set(PATTERN_CHARACTERS) & set(str(path.absolute())):
        raise ConfigError(
            field="workdir",
            value=path,
            expected=f"a path without {' '.join(PATTERN_CHARACTERS)}, which TensorFlow takes for "
            "patterns",
            found=path.absolute(),
        )


def recorded_config(path):
    """Returns the `Config` of the run in folder `path`, or None where there is none."""
    document = _read_document(pathlib.Path(path))
    if not document:
        return None
    source = str(pathlib.Path(path) / CONFIG_FILE)
    return config_from_json(json.dumps(document.get("settings", {})), source)


def check_same_settings(recorded, wanted, where):
    """Raises ConfigError that names each setting whose value differs from the recorded one."""
    differing = find_differences(recorded, wanted)
    if differing:
        raise ConfigError(
            place=where,
            expected="the flags with which it began",
            found=f"{', '.join(differing)}. Choose another `workdir` for another run",
        )


def flagfile_text(config):
    """Returns a flagfile that repeats a run."""
    lines = []
    for name, value in config.to_json().items():
        if isinstance(value, bool):
            lines.append(f"--{'' if value else 'no'}{name}")
        else:
            lines.append(f"--{name}={value}")
    return "\n".join(lines) + "\n"


def describe_environment():
    """Returns versions, commit and kinds of devices; no name of host or user."""
    return {
        "versions": environment_versions(),
        "commit": checkout_commit(pathlib.Path(__file__).resolve().parents[1]) or None,
        "devices": name_devices(),
        "machine": platform.machine(),
        "num_cpus": os.cpu_count(),
    }


def name_devices():
    """Returns the kind of each device that TensorFlow sees, such as the name of a GPU."""
    return [
        tf.config.experimental.get_device_details(device).get("device_name", device.device_type)
        for device in tf.config.list_physical_devices()
    ]


def _read_document(path):
    file = path / CONFIG_FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file}: expected the settings of a run; found {error}") from None
    if not isinstance(document, dict):
        raise RunError(f"{file}: expected a JSON object; found {type(document).__name__}")
    stages = document.get("stages", {})
    if not isinstance(stages, dict) or not all(isinstance(s, dict) for s in stages.values()):
        raise RunError(f"{file}: expected `stages` to be an object of objects; found {stages!r}")
    formats = [stage.get(FORMATS, {}) for stage in stages.values()]
    if not all(isinstance(found, dict) for found in formats):
        raise RunError(f"{file}: expected `{FORMATS}` to be an object; found {formats!r}")
    return document


LOCK_FILE = "run.lock"


class RunLock:
    """Keeps other runs out of a work directory while a run works in it.

    The lock is a file that names host and process, and is gone when the run ends: nothing
    that a run leaves behind names the host.

    Args:
        folder: the work directory; it need not exist yet.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._lock = Lock(self._folder / LOCK_FILE)
        self._is_wanted = self._is_held = False

    @contextlib.contextmanager
    def held(self):
        """Holds the lock: from now on where the folder exists, else once it is made.

        Raises:
            RunError: naming process and host, if another run holds it.
        """
        self._is_wanted = True
        try:
            if self._folder.is_dir():
                self.claim()
            yield
        finally:
            self._is_wanted = False
            if self._is_held:
                self._is_held = False
                self._lock.release()

    def claim(self):
        """Takes the lock now, if `held` asks for it; the folder exists."""
        if not self._is_wanted or self._is_held:
            return
        if not self._lock.acquire():
            raise RunError(
                field="workdir",
                value=self._folder,
                expected="no other run in it",
                found=f"{self._lock.describe()} at work there ({LOCK_FILE})",
            )
        self._is_held = True
        if self._lock.left_by:
            print(f"notice: {self._lock.left_by} left its {LOCK_FILE} behind; taking over")
        checkpoints = self._folder.glob("checkpoints/*/*/")
        for folder in (self._folder, self._folder / "results", *checkpoints):
            remove_leftovers(folder)
