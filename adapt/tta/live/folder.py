"""The folder of a live stream's results: made new, or emptied of what an earlier run left in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from adapt.atomic import write_atomically
from adapt.errors import PrerequisiteError, SpecError
from adapt.tta.live.output import FRAMES, LABELS, OVERLAYS, VIDEO

RUN = "run.json"
_COMMAND = "segshift adapt"


def check_folder(folder: Path, source: Path, overwrite: bool) -> None:
    """Refuse a folder that holds what must not be removed; nothing is written yet.

    Args:
        folder: where results are to go.
        source: where frames come from; it must not lie in `folder`.
        overwrite: whether the results of an earlier run may be removed; files of others never are.

    Raises:
        SpecError: if the folder is not empty, and holds no earlier run or may not be overwritten.
    """
    if source.resolve().is_relative_to(folder.resolve()):
        raise SpecError(f"The frames {source} lie in the folder of the results, {folder}. Give another --out.")
    if folder.exists() and not folder.is_dir():
        raise SpecError(f"{folder} is a file, and results need a folder. Give another --out.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not _is_run(folder / RUN):
        raise SpecError(
            f"The folder {folder} is not empty, and what it holds is not of an earlier `{_COMMAND}`. Give a new folder, or "
            "an empty one, as --out."
        )
    if not overwrite:
        raise SpecError(
            f"The folder {folder} holds an earlier run. Give another --out, or --overwrite to remove that run first; a run "
            "that was stopped cannot be gone on with, as the state of its method is not kept."
        )


def prepare_folder(folder: Path) -> None:
    """Make a folder that `check_folder` let pass, remove an earlier run, and write the file by which this one is known.

    Raises:
        PrerequisiteError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LABELS, OVERLAYS):
            shutil.rmtree(folder / name, ignore_errors=True)
        for path in (folder / FRAMES, *folder.glob(f"{VIDEO}.*")):
            path.unlink(missing_ok=True)
        write_run(folder, {"status": "running"})
        for name in (LABELS, OVERLAYS):
            (folder / name).mkdir()
    except OSError as error:
        raise PrerequisiteError(
            f"{folder} cannot be written ({error.strerror or error}). Give another --out, or mend its permissions."
        ) from error


def write_run(folder: Path, content: dict[str, Any]) -> None:
    """Write `run.json`, whole or not at all."""
    write_atomically(folder / RUN, json.dumps({"command": _COMMAND} | content, indent=2) + "\n")


def _is_run(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("command") == _COMMAND
