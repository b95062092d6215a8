"""The SHA-256 of every file of a checkpoint, written beside it when it is whole.

<folder>/ckpt-7.index  ckpt-7.data-00000-of-00001     TensorFlow's
<folder>/ckpt-7.sha256                                as `sha256sum --check` reads it

What a kill leaves half-written has no checksums, and is no checkpoint.
"""

import hashlib
import pathlib
import re

from ascl_tf.process.files import write_text

SUFFIX = ".sha256"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_NAME = re.compile(r"ckpt-(\d+)(\.index|\.data-\d+-of-\d+|\.sha256)")
# In it TensorFlow names its checkpoints.
_STATE_FILE = "checkpoint"


def write_checksums(prefix):
    """Writes the checksums of the checkpoint whose files begin with `prefix`."""
    files = _files_of(prefix)
    lines = [f"{_sha256_of(file)}  {file.name}\n" for file in files]
    write_text(f"{prefix}{SUFFIX}", "".join(lines))


def find_fault(prefix):
    """Returns what is wrong with a checkpoint's files in a few words, None for nothing."""
    path = pathlib.Path(f"{prefix}{SUFFIX}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return f"{path.name} unreadable"
    sums = {match[2]: match[1] for match in map(_LINE.fullmatch, text.splitlines()) if match}
    if len(sums) != len(text.splitlines()) or f"{path.stem}.index" not in sums:
        return f"no list of checksums in {path.name}"
    for name, expected in sums.items():
        file = path.parent / pathlib.PurePath(name).name
        if not file.is_file():
            return f"{name} missing"
        if _sha256_of(file) != expected:
            return f"another SHA-256 of {name} than when it was written"
    return None


def list_prefixes(folder):
    """Returns the prefixes of the finished checkpoints in `folder`, the newest first."""
    folder = pathlib.Path(folder)
    found = {}
    for file in folder.glob("ckpt-*"):
        match = _NAME.fullmatch(file.name)
        if match:
            found.setdefault(int(match[1]), set()).add(match[2])
    named = _named_by_tensorflow(folder)
    return [
        folder / f"ckpt-{step}"
        for step in sorted(found, reverse=True)
        if SUFFIX in found[step] or (".index" in found[step] and f"ckpt-{step}" in named)
    ]


def step_of(prefix):
    """Returns the step in a checkpoint's name."""
    return int(str(prefix).rpartition("-")[2])


def remove_checkpoint(prefix):
    """Removes a checkpoint; killed on the way, it leaves none that looks whole."""
    # Without its index it is none to TensorFlow either.
    for file in sorted(_files_of(prefix), key=lambda file: file.suffix != ".index"):
        file.unlink(missing_ok=True)
    pathlib.Path(f"{prefix}{SUFFIX}").unlink(missing_ok=True)


def tell_tensorflow(prefixes):
    """Writes which checkpoints of a folder there are, the newest first, as TensorFlow reads it."""
    lines = [f'model_checkpoint_path: "{prefixes[0].name}"\n']
    lines += [f'all_model_checkpoint_paths: "{path.name}"\n' for path in reversed(prefixes)]
    write_text(prefixes[0].parent / _STATE_FILE, "".join(lines))


def _files_of(prefix):
    prefix = pathlib.Path(prefix)
    matches = ((file, _NAME.fullmatch(file.name)) for file in prefix.parent.glob("ckpt-*"))
    step = step_of(prefix)
    return sorted(f for f, m in matches if m and int(m[1]) == step and m[2] != SUFFIX)


def _named_by_tensorflow(folder):
    try:
        text = (folder / _STATE_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {pathlib.PurePath(path).name for path in re.findall(r'checkpoint_path: "(.*)"', text)}


def _sha256_of(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
