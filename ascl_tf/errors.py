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


class MissingSplitError(RunError):
    """A data set has no split of the name asked for.

    Args:
        message: one line, as of every `RunError`.
        splits: names of the splits that it has.
    """

    def __init__(self, message, splits):
        super().__init__(message)
        self.splits = tuple(splits)
