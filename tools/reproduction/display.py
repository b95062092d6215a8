"""What a reproduction shows while it runs: a live table, or lines where there is no terminal."""

import time

from rich.live import Live
from rich.table import Table
from rich.text import Text

from tools.reproduction.scheduler import State

_STYLES = {State.FAILED: "red", State.SKIPPED: "yellow", State.RUNNING: "green"}


class Progress:
    """Counts steps and estimates the time that is left.

    Args:
        nodes: all steps, in order.
        owners: key -> name of the artifact that needs the step first.
        store: `Store`; its finished steps say how long a kind takes.
        jobs: steps at once.
    """

    def __init__(self, nodes, owners, store, jobs=1):
        self.nodes, self.owners, self.store, self.jobs = nodes, owners, store, jobs
        self.states = {node.key: State.WAITING for node in nodes}
        self.began_at = {}
        self._measured = {}

    def began(self, node):
        self.states[node.key] = State.RUNNING
        self.began_at[node.key] = time.monotonic()

    def ended(self, node, state, seconds, lines):
        self.states[node.key] = state
        self.began_at.pop(node.key, None)
        seconds = self.store.seconds(node) if seconds is None else seconds
        if state is State.DONE and seconds is not None:
            took, estimate = self._measured.get(node.kind, (0.0, 0.0))
            self._measured[node.kind] = (took + seconds, estimate + node.seconds)

    def tick(self):
        """Shows how time passes."""

    def count(self, *states, artifact=None):
        """Returns how many steps are in one of these states, of one artifact if it is named."""
        return sum(
            self.states[node.key] in states
            for node in self.nodes
            if artifact is None or self.owners[node.key] == artifact
        )

    def elapsed(self, node):
        return time.monotonic() - self.began_at[node.key]

    def left(self, node):
        """Returns the seconds that a step still needs, by others of its kind."""
        if self.states[node.key] not in (State.WAITING, State.RUNNING):
            return 0.0
        took, estimate = self._measured.get(node.kind) or self._all_measured()
        seconds = node.seconds * (took / estimate if estimate else 1.0)
        return max(0.0, seconds - (self.elapsed(node) if node.key in self.began_at else 0.0))

    def left_in_all(self, artifact=None):
        """Returns the seconds until all is done."""
        nodes = [n for n in self.nodes if artifact is None or self.owners[n.key] == artifact]
        return sum(self.left(node) for node in nodes) / self.jobs

    def summary(self):
        """Returns one line about all steps."""
        failed = self.count(State.FAILED, State.SKIPPED)
        text = f"{self.count(State.DONE)} of {len(self.nodes)} steps done"
        text += f", {failed} failed or skipped" if failed else ""
        return text + f"; about {duration(self.left_in_all())} left"

    def _all_measured(self):
        pairs = list(self._measured.values())
        return sum(took for took, _ in pairs), sum(estimate for _, estimate in pairs)


class PlainDisplay(Progress):
    """A line for each step that ends."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self._is_new = set()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def began(self, node):
        super().began(node)
        self._is_new.add(node.key)

    def ended(self, node, state, seconds, lines):
        super().ended(node, state, seconds, lines)
        if state is State.DONE and node.key not in self._is_new:
            return  # It was done before.
        took = f" in {duration(seconds)}" if seconds is not None else ""
        line = f"{self.owners[node.key]}: {node.title}: {state.value}{took}; {self.summary()}"
        print(line, flush=True)
        for text in lines:
            print(f"    {text}", flush=True)


class LiveDisplay(Progress):
    """A table that is redrawn; what failed stays above it."""

    def __init__(self, *arguments, console, **settings):
        super().__init__(*arguments, **settings)
        self.console = console
        self._live = Live(get_renderable=self.render, console=console, refresh_per_second=2)

    def __enter__(self):
        self._live.__enter__()
        return self

    def __exit__(self, *error):
        self._live.__exit__(*error)

    def ended(self, node, state, seconds, lines):
        super().ended(node, state, seconds, lines)
        if state is State.FAILED:
            text = "\n".join([f"{node.title}: failed", *(f"    {line}" for line in lines)])
            self.console.print(Text(text, style="red"))

    def render(self):
        """Returns the table: artifacts that are not finished, then the steps that run."""
        table = Table(title=Text(self.summary()), box=None, padding=(0, 1, 0, 0))
        table.add_column("artifact", overflow="fold")
        table.add_column("step", overflow="fold")
        for heading in ("state", "elapsed", "left"):
            table.add_column(heading, justify="right", no_wrap=True)
        for node in self.nodes:
            if self.states[node.key] is State.RUNNING:
                self._add_step(table, node)
        for artifact in dict.fromkeys(self.owners.values()):
            self._add_artifact(table, artifact)
        return table

    def _add_step(self, table, node):
        cells = ["running", duration(self.elapsed(node)), duration(self.left(node))]
        style = _STYLES[State.RUNNING]
        table.add_row(self.owners[node.key], node.title, *cells, style=style)

    def _add_artifact(self, table, artifact):
        done = self.count(State.DONE, artifact=artifact)
        failed = self.count(State.FAILED, State.SKIPPED, artifact=artifact)
        number = sum(owner == artifact for owner in self.owners.values())
        if done == number:
            return
        state = State.FAILED if done + failed == number else State.WAITING
        steps = f"{done} of {number} done" + (f", {failed} failed" if failed else "")
        left = duration(self.left_in_all(artifact))
        table.add_row(artifact, steps, state.value, "", left, style=_STYLES.get(state, "dim"))


def duration(seconds):
    """Returns a duration as a reader wants it: 40 s, 12 min, 6.1 h, 20 d."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 96 else f"{hours / 24:.0f} d"
