"""The record of a task: one JSON that says what was run, on what, and every unaggregated score. It is the truth.

MLflow is its mirror and the leaderboard a view of it: both can be made anew from records. Aggregates (mIoU, mPC ...)
are never stored: they are derived from the confusion counts, so they cannot disagree with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from adapt.errors import PrerequisiteError
from adapt.settings import Settings

SCHEMA_VERSION: Literal[1] = 1
FILE = "record.json"
SEAL = "seal"  # key of the file, beside those of the record


class Clip(Settings):
    """The counts of one clip of video within a cell, from which temporal scores are derived.

    Attributes:
        name: of its first and last frame.
        frames: how many there are.
        intersection: (K,) pixels of each class in a frame's prediction and in the next one's, warped onto it.
        union: (K,) pixels in either.
        vc: length of a window in frames -> (sum of the windows' scores, number of windows).
        perceptual: the same over pairs of consecutive frames; None where it was not measured.
    """

    name: str
    frames: int
    intersection: tuple[int, ...]
    union: tuple[int, ...]
    vc: dict[int, tuple[float, int]] = {}
    perceptual: tuple[float, int] | None = None


class Cell(Settings):
    """One cell of a grid of scores.

    Attributes:
        name: unique in its record, e.g. `clean`, `gaussian_noise/1`, `1/fog` (round/domain).
        axes: what the cell stands at: {"corruption": "fog", "severity": 3}, {"round": 1, "domain": "night"}.
        frames: number of images counted.
        confusion: (K, K) counts of pixels, rows = label, columns = prediction; None where there is no score.
        reason: why there is no score, where there is none.
        calibration: (3, 15) pixels, summed confidence and correct pixels by bin of confidence; None where not counted.
        clips: its clips of video, where temporal scores were asked for.
    """

    name: str
    axes: dict[str, str | int] = {}
    frames: int
    confusion: tuple[tuple[int, ...], ...] | None
    reason: str | None = None
    calibration: tuple[tuple[float, ...], ...] | None = None
    clips: tuple[Clip, ...] = ()


class Network(Settings):
    """The network that was scored: what it is and where its weights came from.

    Attributes:
        architecture: backbone and head.
        parameters: how many numbers it learnt.
        checkpoint_sha256: of its weights.
        trained_by: key of the task that made it; None of outside weights.
        weights: name of the outside weight file.
    """

    architecture: str
    parameters: int
    checkpoint_sha256: str | None
    trained_by: str | None
    weights: str | None


class StoredFile(Settings):
    """A file beside the record.

    Attributes:
        sha256: of its content.
        size_bytes: how large it is.
    """

    sha256: str
    size_bytes: int


class Failure(Settings):
    """Why a task has no result.

    Attributes:
        kind: the name of the error.
        message: what it says.
        traceback: where it happened.
    """

    kind: str
    message: str
    traceback: str


class Record(Settings):
    """What became of one task.

    Non-finite numbers are refused when a record is made: a missing score is None, with a reason.

    Attributes:
        schema_version: of this schema; a reader refuses one that it does not know.
        key: of the task: the sha256 of all that decides its result, shortened.
        status: whether there is a result.
        experiment, profile, stage, label: the first sweep that asked for it called it so.
        kind: of the stage.
        code_version: of that kind of stage; raised when results may change.
        point: its axis values.
        settings: all of them, resolved.
        chosen: those of them that the file gave.
        datasets: name -> settings, and fingerprint of the files.
        model: config, overrides and weights, with hashes.
        inputs: name, such as `checkpoint` -> key of the task that made it.
        network: what was scored, or made.
        method: what a test-time method updates, whose statistics BatchNorm used, what its filter works on, and its settings
            as they really ran.
        protocol: all that must be equal for two scores to be compared.
        classes: their names, in train id order.
        cells: the counts, from which every score is made.
        metrics: other numbers: times, updates, label agreement, those of a training on noisy labels.
        notes: what a reader of the numbers should know, such as a bottleneck.
        files: beside the record, by name.
        environment: git commit and dirty flag, packages, hardware.
        started_at: ISO 8601.
        seconds: what it took, its last attempt alone.
        peak_memory_bytes: of the process; None where it is not known.
        peak_gpu_memory_bytes: of the GPU; None without one.
        failure: why there is no result.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION
    key: str
    status: Literal["done", "failed"]
    experiment: str
    profile: str
    stage: str
    label: str
    kind: str
    code_version: int
    point: dict[str, Any]
    settings: dict[str, Any]
    chosen: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    model: dict[str, Any] | None = None
    inputs: dict[str, str]
    network: Network | None = None
    method: dict[str, Any] | None = None
    protocol: dict[str, Any] | None = None
    classes: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    metrics: dict[str, float | None] = {}
    notes: tuple[str, ...] = ()
    files: dict[str, StoredFile] = {}
    environment: dict[str, Any] = {}
    started_at: str
    seconds: float
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    failure: Failure | None = None


FindRecord = Callable[[str], Record | None]
"""The key of a task to its record, or None where it has none."""


def dump_record(record: Record) -> str:
    """Return the JSON text of a record, sealed by a hash of its content, so that an edit by hand is noticed."""
    text = record.model_dump_json(indent=1)
    return f'{text.removesuffix("}").rstrip()},\n "{SEAL}": "{_seal(json.loads(text))}"\n}}'


def read_record(path: Path) -> Record:
    """Read a record; one that was written before records were sealed is taken as it is.

    Raises:
        PrerequisiteError: the file is unreadable, of another schema version, no record, or was changed after it was written.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != SCHEMA_VERSION:
            raise PrerequisiteError(
                f"{path}: record schema {version!r}, but this segshift reads {SCHEMA_VERSION}. "
                "Use the segshift that wrote it, or another store."
            )
        seal = raw.pop(SEAL, None)
        if seal is not None and seal != _seal(raw):
            raise PrerequisiteError(
                f"{path}: this record was changed after it was written ({SEAL} does not match its content), so its numbers "
                "are not used. Restore the file, or remove its folder to have the task run again."
            )
        return Record.model_validate(raw)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise PrerequisiteError(
            f"{path}: this record cannot be read ({type(error).__name__}). Remove its folder to have the task run again."
        ) from error


def _seal(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
