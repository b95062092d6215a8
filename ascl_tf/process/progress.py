"""How far a long pass is, and how long it will still take."""

import sys
import time

# Seconds before the first line, and between two where each stays: in a log, or on a terminal.
_FIRST, _IN_LOG, _ON_TERMINAL = 2.0, 30.0, 0.5


class Progress:
    """Says on stdout how far a pass is, if it takes a while.

    On a terminal one line is renewed; elsewhere, as in the log of a job, there is one every half
    minute.

    Args:
        title: what is done, such as "decoding cifar10, split train".
        total: how much there is to do, in any unit.
    """

    def __init__(self, title, total):
        self._title, self._total, self._done = title, max(total, 1), 0
        self._is_terminal = sys.stdout.isatty()
        self._began, self._has_spoken = time.monotonic(), False
        self._due = self._began + _FIRST

    def advance(self, amount):
        """Counts what has been done since, and says so if it is time."""
        self._done += amount
        if self._done >= self._total:
            # What is printed next begins a line.
            self.close()
            return
        now = time.monotonic()
        if now < self._due:
            return
        seconds = (now - self._began) * (self._total - self._done) / max(self._done, 1)
        share = 100 * self._done / self._total
        self._say(f"{self._title}: {share:.0f} %, {_in_words(seconds)} left")
        self._due = now + (_ON_TERMINAL if self._is_terminal else _IN_LOG)

    def close(self):
        """Ends the line on a terminal."""
        if self._has_spoken and self._is_terminal:
            print(flush=True)
        self._has_spoken = False

    def _say(self, line):
        self._has_spoken = True
        # \x1b[K clears what a longer line has left.
        print(f"\r{line}\x1b[K" if self._is_terminal else line, end="", flush=True)
        if not self._is_terminal:
            print(flush=True)


def _in_words(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
