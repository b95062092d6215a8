"""The line that a program prints of an error, in tests of its `main`."""

import contextlib
import re

import pytest

from ascl_tf.program.messages import one_line


@contextlib.contextmanager
def line_matches(kind, pattern):
    """As `pytest.raises(kind, match=pattern)`, of the line that a user of the program sees."""
    with pytest.raises(kind) as caught:
        yield
    assert re.search(pattern, one_line(caught.value)), one_line(caught.value)
