"""The live view of a sweep: tasks done, running and waiting, losses and mIoU, elapsed and estimated time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.costs import Costs, estimate_remaining_s
from orchestrator.sweep_state import Status, SweepState

LINE_EVERY_S = 15.0  # where the output is no terminal: a line now and then instead of a live view
SHOWN_RUNNING = 12

_SHOWN_SCALARS = ("loss", "source_loss", "mix_loss", "q", "miou")


class ProgressView:
    """Draws a sweep's state on a terminal, or prints a line now and then where there is none.

    Args:
        console: where to draw.
        costs: measured seconds by stage, for the estimate.
        slots: how many tasks run at once, for the estimate.
    """

    def __init__(self, console: Console, costs: Costs, slots: float) -> None:
        self._console = console
        self._costs = costs
        self._slots = slots
        self._started = time.monotonic()
        self._last_line = 0.0
        self._reported: set[str] = set()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> ProgressView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, state: SweepState) -> None:
        """Draw the state as it is now, and report each failure once, when it happens."""
        for key, status in state.status.items():
            if status is Status.FAILED and key not in self._reported:
                self._reported.add(key)
                text = Text.assemble(
                    ("failed ", "bold red"), (state.graph.tasks[key].name, "bold"), ": ", state.messages[key]
                )
                self._console.print(text)
        if self._live is not None:
            self._live.update(self._draw(state))
        elif time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(Text(f"{self._summarise(state)}  {self._describe_running(state)}"), soft_wrap=True)

    def _summarise(self, state: SweepState) -> str:
        done = state.count(Status.CACHED, Status.DONE)
        running = sum(key in state.live for key, status in state.status.items() if status is Status.SUBMITTED)
        waiting = state.count(Status.WAITING, Status.SUBMITTED) - running
        failed = state.count(Status.FAILED, Status.SKIPPED)
        elapsed = time.monotonic() - self._started
        remaining = estimate_remaining_s(state, self._costs, self._slots)
        parts = [
            *(["stopping: tasks keep what they have (Ctrl-C again ends them at once)"] if state.is_stopping else []),
            f"{done}/{len(state.status)} done ({state.count(Status.CACHED)} cached)",
            f"{running} running",
            f"{waiting} waiting",
            *([f"{failed} failed or skipped"] if failed else []),
            f"elapsed {show_duration(elapsed)}",
            f"about {show_duration(remaining)} to go" if remaining is not None else "time to go not known yet",
        ]
        return " · ".join(parts)

    def _describe_running(self, state: SweepState) -> str:
        names = [
            f"{state.graph.tasks[k].name} {show_scalars(v)}" for k, v in state.live.items() if k in state.graph.tasks
        ]
        return "; ".join(names[:3])

    def _draw(self, state: SweepState) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("running", "progress", "step", "now"):
            table.add_column(title, style="bold" if title == "running" else "", no_wrap=True)
        shown = [(key, values) for key, values in state.live.items() if state.status.get(key) is Status.SUBMITTED]
        for key, values in shown[:SHOWN_RUNNING]:
            bar = ProgressBar(total=1.0, completed=values.get("progress", 0.0), width=20)
            table.add_row(state.graph.tasks[key].name, bar, f"{values.get('step', 0):.0f}", show_scalars(values))
        total = ProgressBar(total=len(state.status) or 1, completed=state.count(Status.CACHED, Status.DONE), width=40)
        return Group(stack_lines(total, Text(self._summarise(state))), *([table] if shown else []))


def stack_lines(*lines: RenderableType) -> Table:
    """Return a grid with one of them a line: a bar alone does not end its line."""
    grid = Table.grid()
    for line in lines:
        grid.add_row(line)
    return grid


def show_scalars(values: Mapping[str, float]) -> str:
    """Print the live scalars that people watch: losses, q and mIoU (in percent)."""
    shown = []
    for name in _SHOWN_SCALARS:
        if name in values:
            shown.append(f"mIoU {100 * values[name]:.1f}" if name == "miou" else f"{name} {values[name]:.3f}")
    return " ".join(shown)


def show_bytes(size: int) -> str:
    """Print a size as people say it: `3.2 GB`, of powers of ten."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def show_duration(seconds: float) -> str:
    """Print seconds as people say them: `45 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
