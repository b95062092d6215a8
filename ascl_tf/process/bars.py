"""The bar of a long pass on a terminal: what is done, how far, and the time left."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def make_bars(console: Console, **settings: Any) -> Progress:
    """Returns a `rich.progress.Progress`; its tasks show description, bar, count and time left.

    Args:
        console: where it is drawn.
        **settings: of `Progress`.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, **settings)
