"""The two kinds of mistakes that a user can make, and their exit statuses.

Both are `ValueError`s, so that a caller of the library may catch just that.
The message is one line: which flag or file, what was expected, what was found.
"""


class ConfigError(ValueError):
    """Something is wrong in flags or flagfiles; the programs exit with 2."""

    exit_status = 2


class RunError(ValueError):
    """Something is wrong that only the run could find; the programs exit with 1."""

    exit_status = 1
