"""Predictions as the lines of a table, printed one after the other."""

import shutil
import sys

from rich.cells import cell_len, set_cell_size

from ascl_tf.process.terminal import on_one_line

_PROBABILITY = len("probability")
_WIDEST_CLASS = 24
_NARROWEST = 30  # Columns of a terminal.
_CUT = "…"


class PredictionTable:
    """Prints a line for each class of a picture; the first prints the heading, too.

    On a terminal lines have its width, and of long paths the end is shown; elsewhere, as in a
    file, paths are whole.

    Args:
        class_names: of the model, or None.
    """

    def __init__(self, class_names):
        widest = max(map(cell_len, class_names or [""]))
        self._class, self._file = min(max(widest, len("class")), _WIDEST_CLASS), None
        if sys.stdout.isatty():
            columns = max(shutil.get_terminal_size().columns, _NARROWEST) - _PROBABILITY - 4
            self._class = min(self._class, columns // 2)
            self._file = columns - self._class
        self._has_heading = False

    def show(self, prediction):
        """Prints what is known of one picture."""
        if not self._has_heading:
            self._has_heading = True
            self._print("file", "class", "probability")
        name = on_one_line(prediction.file)
        if prediction.error:
            # Whoever reads the table from a file wants three columns in each line.
            line = f"{name}: {prediction.error}" if self._file else f"{name}\t{prediction.error}\t"
            print(line, flush=True)
        for class_name, value in zip(prediction.class_names, prediction.probabilities, strict=True):
            self._print(name, on_one_line(class_name), f"{value:.4f}")
            name = ""

    def _print(self, file, class_name, probability):
        cells = set_cell_size(_fitted(class_name, self._class), self._class)
        name = file if self._file is None else set_cell_size(_tail(file, self._file), self._file)
        separator = "  " if self._file else "\t"
        number = probability.rjust(_PROBABILITY) if self._file else probability
        print(separator.join([name, cells if self._file else class_name, number]), flush=True)


def _fitted(text, width):
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + _CUT


def _tail(text, width):
    """Returns the end of a path that is too long."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return _CUT + text
