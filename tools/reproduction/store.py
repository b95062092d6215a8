"""The folders of steps: what is done, what others are doing, where things lie.

<runs>/<preset>/<kind>-<key>/   one step: what its program leaves, and
    done.json                   written last: key, outputs with their hashes, seconds
    log.txt                     the command and what it printed
<runs>/<preset>/<kind>-<key>.lock   while a process works on it
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import time

from ascl_tf.process.files import remove_leftovers, write_text
from ascl_tf.process.locks import Lock

DONE = "done.json"
LOG = "log.txt"


class Store:
    """The folder of a preset's steps."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def folder(self, node):
        """Returns a step's folder, absolute."""
        return self.path.absolute() / node.name

    def log(self, node):
        """Returns the file with what a step's program printed."""
        return self.folder(node) / LOG

    def is_done(self, node):
        """Returns whether a step's done.json is of this key, and its outputs are there."""
        document = self._read_done(node)
        names = document.get("outputs", {})
        return document.get("key") == node.key and all(
            (self.folder(node) / name).exists() for name in names
        )

    def seconds(self, node):
        """Returns how long a finished step took in its last call."""
        return self._read_done(node).get("seconds")

    def find(self, node, pattern):
        """Returns the one file or folder that a step has left under `pattern`, absolute."""
        folder = self.folder(node)
        if pattern == ".":
            return folder
        found = sorted(folder.glob(pattern)) if any(c in pattern for c in "*?[") else []
        found = found or [folder / pattern]
        if len(found) != 1 or not found[0].exists():
            raise FileNotFoundError(f"{node.name}: expected {pattern}; found {len(found)}")
        return found[0]

    def prepare(self, node):
        """Makes a step's folder and the links in it."""
        folder = self.folder(node)
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        (folder / DONE).unlink(missing_ok=True)
        for name, place in node.links.items():
            link, target = folder / name, self.find(place.node, place.pattern)
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(target, folder))

    def argument_path(self, node, place):
        """Returns a `Place` among the arguments of `node` as a path from the preset's folder."""
        if place.node is not None:
            return os.path.relpath(self.find(place.node, place.pattern), self.path.absolute())
        return node.name if place.pattern == "." else f"{node.name}/{place.pattern}"

    def mark_done(self, node, seconds):
        """Writes done.json, after all else.

        Raises:
            FileNotFoundError: if the program has not left what it should.
        """
        paths = [self.find(node, pattern) for pattern in node.outputs]
        folder = self.folder(node)
        outputs = {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}
        document = {
            "key": node.key,
            "kind": node.kind,
            "title": node.title,
            "outputs": outputs,
            "seconds": round(seconds, 3),
        }
        write_text(folder / DONE, json.dumps(document, indent=1, sort_keys=True) + "\n")

    def lock(self, node):
        """Returns the step's `Lock`, held; None while another process holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = Lock(self.path.absolute() / f"{node.name}.lock")
        return lock if lock.acquire() else None

    def _read_done(self, node):
        try:
            document = json.loads((self.folder(node) / DONE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}


def copy_outputs(store, node, folder):
    """Copies what a step has left into a folder of results."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in node.outputs:
        source = store.find(node, pattern)
        shutil.copyfile(source, folder / source.name)


def last_lines(path, count=5):
    """Returns the last lines of a log that say anything."""
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line.rstrip() for line in lines if line.strip()][-count:]
    return []


def wait_a_little():
    """Lets others that hold a lock go on."""
    time.sleep(0.2)


def sha256_of(path):
    """Returns the SHA-256 of a file, or over names and contents of all files in a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()
