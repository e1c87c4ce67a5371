"""Have the miniature on disk before a sweep starts: written, and prepared like any real data set."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from adapt.data.miniature.settings import MiniatureSettings

PREPARED_TYPES = ("gta", "synthia", "cityscapes", "acdc")
READY_FILE = "prepared"


def is_ready(root: Path) -> bool:
    """Say whether the miniature at `root` is written and prepared."""
    return (root / READY_FILE).is_file()


def make_miniature(
    root: Path, settings: MiniatureSettings, workers: int, on_progress: Callable[[str, int, int], None]
) -> None:
    """Write the miniature and prepare its data sets; whatever is there already is kept.

    Args:
        root: where to.
        settings: what to draw.
        workers: processes to draw with.
        on_progress: called with (what is being done, files done, files in all).
    """
    from adapt.data.miniature.write import write_miniature  # here: imports OpenCV
    from adapt.data.prepare import prepare

    write_miniature(root, settings, workers, functools.partial(on_progress, "drawing street scenes"))
    for name in PREPARED_TYPES:
        if (root / name).is_dir():
            prepare(name, root / name, workers, functools.partial(on_progress, f"preparing {name}"))
    (root / READY_FILE).touch()
