"""`labels.csv` beside pictures: which file is of which class, and maybe of which split.

    file,label,split
    shelf/1.jpg,cup,train
    "a, b.png",plate,test

The first line names the columns, in any order; `split` may be missing, other columns are not
looked at. UTF-8 with or without a byte-order mark; commas, semicolons or tabs between the columns;
`\\` in place of `/`, as Windows writes it.
"""

import csv
import os
from typing import NamedTuple

from ascl_tf.errors import RunError

NAME = "labels.csv"
FILE, LABEL, SPLIT = "file", "label", "split"
_SEPARATORS = ",;\t"
# Of training: it must know every class that another split holds.
_TRAIN = "train"


class Row(NamedTuple):
    """What the table says of a file; `split` is None where it has no such column."""

    line: int
    label: str
    split: str | None


def is_there(path):
    """Returns whether a folder has such a table."""
    return os.path.isfile(os.path.join(path, NAME))


def read(path):
    """Returns the table of a folder as a dictionary from the path of a file to its `Row`.

    Raises:
        RunError: naming the table and the line: on another encoding or header, an empty field,
            and on a file that is not there, lies outside of the folder, or is listed twice.
    """
    table = os.path.join(path, NAME)
    rows = {}
    for line, fields in _lines(table):
        place = f"{table}, line {line}"
        for column, value in fields.items():
            if not value:
                raise RunError(place=place, expected=f"a {column}", found="none")
        file = _find_file(path, fields[FILE], place)
        if file in rows:
            expected = "a file that is not listed yet"
            found = f"{fields[FILE]!r}, which stands in line {rows[file].line} too"
            raise RunError(place=place, expected=expected, found=found)
        rows[file] = Row(line, fields[LABEL], fields.get(SPLIT))
    if not rows:
        raise RunError(place=table, expected="at least one file and its label", found="none")
    return rows


def class_names(rows):
    """Returns the labels of a table, each once; numbers by value, else by the alphabet."""
    names = {row.label for row in rows.values()}
    are_numbers = all(name.isascii() and name.isdigit() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if are_numbers else name)


def check_classes(path, rows, names):
    """Raises RunError for a class of which the split `train` has no file while others do."""
    trained = {row.label for row in rows.values() if row.split == _TRAIN}
    missing = [name for name in names if trained and name not in trained]
    if missing:
        row = next(row for row in rows.values() if row.label == missing[0])
        raise RunError(
            place=f"{os.path.join(path, NAME)}, line {row.line}",
            expected=f"a label that files of the split {_TRAIN} have too",
            found=repr(missing[0]),
        )


def _lines(table):
    """Yields (number of the line, dictionary from column to text) of the lines with content."""
    try:
        # The reader of csv wants line ends as they are.
        with open(table, encoding="utf-8-sig", newline="") as file:
            separator = max(_SEPARATORS, key=file.readline().count)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            _check_header(table, header)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, _fields(header, cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(
            place=table, expected="comma-separated values in UTF-8", cause=error
        ) from None
    except OSError as error:
        raise RunError(place=table, expected="a readable file", cause=error.strerror) from None


def _check_header(table, header):
    if FILE not in header or LABEL not in header:
        raise RunError(
            place=f"{table}, line 1",
            expected=f"the columns {FILE} and {LABEL}, and maybe {SPLIT}",
            found=", ".join(header) or "nothing",
        )


def _fields(header, cells):
    """Returns the columns of a line that count; one that is cut short has empty ones."""
    cells = [*cells, *[""] * (len(header) - len(cells))]
    wanted = [name for name in (FILE, LABEL, SPLIT) if name in header]
    return {name: cells[header.index(name)].strip() for name in wanted}


def _find_file(path, name, place):
    """Returns the path of a file that the table names."""
    for candidate in (name, name.replace("\\", "/")):
        inside = os.path.normpath(candidate)
        is_outside = os.path.isabs(inside) or inside.split(os.sep)[0] == os.pardir
        file = os.path.join(path, inside)
        if os.path.isfile(file) and not is_outside:
            return file
    raise RunError(
        place=place,
        expected=f"a file in the folder of {NAME}",
        found=f"{name!r}, which is not there",
    )
