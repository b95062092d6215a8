"""Records of measured numbers: files of JSON, versions, and hashes of models.

A record file is one object `{"records": [...]}`. It names data and model by hash,
never by a directory or host of the machine that measured.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

from ascl_tf.errors import RunError
from ascl_tf.process.files import write_text

Record = dict[str, Any]
PathLike = str | os.PathLike[str]

REQUIRED_FIELDS = (
    "protocol",
    "standard_accuracy",
    "robust_accuracy",
    "num_images",
    "epsilon",
    "seed",
    "model_sha256",
    "wall_seconds",
    "versions",
)
# What makes a robust accuracy traceable, beside the above: every program here writes it.
PROVENANCE_FIELDS = (
    *REQUIRED_FIELDS,
    "attack",
    "data_set",
    "data_sha256",
    "verdicts",
    "checks",
    "checks_passed",
)
_SUBJECT_FIELDS = ("model_sha256", "data_sha256", "num_images", "seed", "stage", "checkpoint")
# Of a record in a transfer matrix: with another protocol it is another matrix.
_MATRIX_FIELDS = ("protocol", "target", "source")
_PACKAGES = {
    "tensorflow": "tensorflow",
    "keras": "keras",
    "numpy": "numpy",
    "cleverhans": "cleverhans",
    "ascl_tf": "ascl-tf",
}


def write_records(path: PathLike, records: Iterable[Record]) -> None:
    """Writes a record file, as `write_document`.

    Raises:
        RunError: if a record lacks a field, or the file cannot be written.
    """
    target = pathlib.Path(path)
    document = {"records": list(records)}
    _check_document(document, target)
    write_document(target, document)


def write_document(target: pathlib.Path, document: dict[str, Any]) -> None:
    """Writes a file of JSON, whole or not at all.

    The text is written beside `target` and then renamed over it, keys sorted, so
    that equal documents give equal bytes. Missing folders are made.

    Raises:
        RunError: if JSON cannot hold it, or the file cannot be written.
    """
    try:
        text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise RunError(
            f"{target}: records must be finite numbers, text, lists and dictionaries; {error}."
        ) from error
    _replace_file(target, text)


class KeptRecords:
    """The records of one evaluation, written whenever some of them are finished.

    Whatever ends the evaluation, the file holds what was finished until then, and before it what
    an earlier evaluation of the same model on the same images has left of other protocols.

    Args:
        path: record file; None: they are only kept here.
        complete: callable that gets copies of all records and returns them with what they all
            say beside; None for nothing.

    Raises:
        RunError: if the file is there and holds anything but records.
    """

    def __init__(
        self,
        path: PathLike | None,
        complete: Callable[[list[Record]], list[Record]] | None = None,
    ) -> None:
        self._path, self._complete = path, complete
        self._parts: list[tuple[list[Record], Record]] = []
        self._earlier = [] if path is None else earlier_records(path)
        # Of these, what the file holds still.
        self._left = self._earlier

    def check_subjects(self, to_come: Iterable[Record]) -> None:
        """Raises RunError if the file holds records that would be dropped: of something else.

        Args:
            to_come: what the records of this evaluation will say of their model and images.
        """
        subjects = {_subject(record) for record in to_come}
        others = [r["protocol"] for r in self._earlier if _subject(r) not in subjects]
        if others:
            raise RunError(
                field="output",
                value=self._path,
                expected="a new file, or records of the same model, images and seed",
                found=f"others, which would be lost: {', '.join(dict.fromkeys(others))}",
            )

    def part(self, **fields: Any) -> Callable[[list[Record]], None]:
        """Returns a callable that takes all records so far of one more part, and writes them.

        Until every part has some, the file keeps all earlier records that may be of one.

        Args:
            **fields: what each record of this part says beside.
        """
        number = len(self._parts)
        self._parts.append(([], fields))

        def keep(measured: list[Record]) -> None:
            self._parts[number] = (measured, fields)
            if self._path is not None:
                found = self.records()
                self._left = self._kept(found)
                write_records(self._path, [*self._left, *found])

        return keep

    def records(self) -> list[Record]:
        """Returns what is finished, part by part."""
        found = [{**record, **fields} for measured, fields in self._parts for record in measured]
        return found if self._complete is None else self._complete(found)

    def notice(self) -> str:
        """Returns a line on what has become of the earlier records; empty if there were none."""
        again = {_subject(record) for record in self.records()}
        fates: dict[str, list[str]] = {}
        for record in self._earlier:
            fate = "kept" if record in self._left else "replaced"
            if record not in self._left and _subject(record) not in again:
                fate = "dropped (another model, other images or another seed)"
            fates.setdefault(fate, []).append(record["protocol"])
        told = [f"{fate}: {', '.join(dict.fromkeys(names))}" for fate, names in fates.items()]
        return f"notice: {self._path}: earlier records {'; '.join(told)}" if told else ""

    def _kept(self, found: list[Record]) -> list[Record]:
        """Returns the earlier records that stay in the file beside those that were `found`."""
        subjects = {_subject(record) for record in found}
        again = {(_subject(record), record["protocol"]) for record in found}
        is_complete = all(measured for measured, _ in self._parts)
        return [
            record
            for record in self._earlier
            if (_subject(record) in subjects or not is_complete)
            and (_subject(record), record["protocol"]) not in again
        ]


def _subject(record: Record) -> tuple[Any, ...]:
    """Returns what a record is of: those of one subject differ in their protocols alone."""
    fields = _SUBJECT_FIELDS + (_MATRIX_FIELDS if "target" in record else ())
    return tuple(record.get(name) for name in fields)


def earlier_records(path: PathLike) -> list[Record]:
    """Returns the records of a file; of one that is absent or empty, none.

    Raises:
        RunError: as `read_records`.
    """
    target = pathlib.Path(path)
    return read_records(target) if target.exists() and target.stat().st_size else []


def read_records(path: PathLike) -> list[Record]:
    """Returns the records of a file.

    Raises:
        RunError: if the file is absent, no JSON, or not a list of whole records.
    """
    source = pathlib.Path(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise RunError(f"{source}: expected a record file; {_reason(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{source}: expected JSON; found otherwise: {error}.") from error
    _check_document(document, source)
    records: list[Record] = document["records"]
    return records


def environment_versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of every library that shapes a number.

    In a checkout also `commit`, the one that this package comes from, with `-dirty` if its
    files differ from it.
    """
    versions = {name: _package_version(package) for name, package in _PACKAGES.items()}
    commit = checkout_commit(pathlib.Path(__file__).resolve().parents[1])
    return {"python": platform.python_version(), **versions} | (
        {"commit": commit} if commit else {}
    )


# The code that runs is the one that was imported; what the files become later does not count.
@functools.cache
def checkout_commit(package: pathlib.Path) -> str:
    """Returns the commit of the checkout that `package`, a folder, lies in; empty outside of one.

    `-dirty` follows where files of the folder differ from that commit.
    """
    if not (package.parent / ".git").exists():
        return ""
    commit = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".")
    if not commit or changed is None:
        return ""
    return f"{commit}-dirty" if changed else commit


def model_sha256(path: PathLike) -> str:
    """Returns the SHA-256 of a model file, or of a SavedModel folder.

    For a folder: over the relative name and the content of every file, in order
    of names, so that copying the folder elsewhere changes nothing.

    Raises:
        RunError: if there is nothing to hash.
    """
    root = pathlib.Path(path)
    try:
        if root.is_file():
            return hashlib.sha256(root.read_bytes()).hexdigest()
        files = sorted((f.relative_to(root).as_posix(), f) for f in root.rglob("*") if f.is_file())
        digest = hashlib.sha256()
        for name, file in files:
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    except OSError as error:
        raise RunError(f"{root}: expected a readable model; {_reason(error)}.") from error
    if not files:
        raise RunError(f"{root}: expected a model file or a SavedModel folder; found nothing.")
    return digest.hexdigest()


def weights_sha256(model: Any) -> str:
    """Returns the SHA-256 over shape, type and bytes of a Keras model's weights, in order.

    Names do not count: Keras renumbers them for each model it makes.
    """
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _git(folder: pathlib.Path, *arguments: str) -> str | None:
    # Without the lock that `status` takes to refresh its index: others may be at work there.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _replace_file(target: pathlib.Path, text: str) -> None:
    try:
        write_text(target, text)
    except OSError as error:
        raise RunError(f"{target}: expected a writable file; {_reason(error)}.") from error


def _check_document(document: Any, path: pathlib.Path) -> None:
    records = document.get("records") if isinstance(document, dict) else None
    if not isinstance(records, list):
        raise RunError(f'{path}: expected an object with a list "records"; found none.')
    for index, record in enumerate(records):
        problem = record_problem(record)
        if problem:
            raise RunError(f"{path}: record {index}: {problem}.")


def record_problem(record: Any) -> str | None:
    """Returns what was expected of a record and what was found, or None for a whole one."""
    if not isinstance(record, dict):
        return f"expected an object; found {type(record).__name__}"
    missing = [field for field in REQUIRED_FIELDS if field not in record]
    if missing:
        return f"expected the field `{missing[0]}`; found none"
    for field in ("standard_accuracy", "robust_accuracy"):
        # NaN is in no range.
        if not (_is_number(record[field]) and 0 <= record[field] <= 100):
            return f"expected `{field}` in percent, 0 to 100; found {record[field]!r}"
    count = record["num_images"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        return f"expected `num_images` >= 1; found {count!r}"
    if not isinstance(record["protocol"], str):
        return f"expected `protocol` to be a name; found {record['protocol']!r}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _package_version(package: str) -> str:
    # The CPU-only build of a package is the same code under another name.
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"
