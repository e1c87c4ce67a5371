"""The bar of `segshift adapt` on a terminal; it is gone afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapt.tta.live.run import LiveTotals


@contextlib.contextmanager
def show_source(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Draw how many source images are measured; what is yielded is called with those done and all."""
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("measuring the source", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@contextlib.contextmanager
def show_frames(total: int | None, console: Console) -> Iterator[Callable[[LiveTotals], None]]:
    """Draw how many frames are done, the speed and what the method did; what is yielded is called once a frame."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("the first frame", total=total)

        def show(totals: LiveTotals) -> None:
            speed = totals.frames_per_s or 0.0
            text = f"{speed:.2f} frames/s, {totals.updates} updates, {totals.skipped} skipped, {totals.recovered} recovered"
            progress.update(bar, advance=1, description=text)

        yield show
