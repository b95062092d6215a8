"""A program for the workers of a reproduction: does what its argument says."""

import os
import sys

from ascl_tf.errors import RunError


def main(argv):
    """Prints its process id; then fails, breaks or dies if it is told so."""
    print(f"process {os.getpid()}")
    print("to standard error", file=sys.stderr)
    if argv[1] == "fail":
        raise RunError("expected luck; found none")
    if argv[1] == "break":
        raise KeyError("a fault of the program")
    if argv[1] == "die":
        os._exit(7)
