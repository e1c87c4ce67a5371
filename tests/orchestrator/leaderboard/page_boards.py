"""Boards for the tests of the page, made by hand: their numbers are known, and need no records."""

from __future__ import annotations

from typing import Any

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.row import Detail, Picture, Provenance, Row, Score
from orchestrator.leaderboard.table import Table

CORRUPTIONS = ("gaussian_noise", "fog", "contrast")
CLASSES = ("road", "car", "sky")
BINS = tuple((0.0,) * 14 + (value,) for value in (10.0, 9.0, 8.0))


def make_score(mean: float | None, reason: str | None = None, **ends: float) -> Score:
    """Return the score of one run."""
    return Score(mean, None, (mean,), reason, **ends)


def make_row(entry: str, scores: dict[str, Score], rank: int | None = None, **fields: Any) -> Row:
    """Return a row with what a page reads of it."""
    rest: dict[str, Any] = {
        "adaptation": None,
        "axes": {},
        "seeds": 1,
        "runs": 1,
        "architecture": None,
        "parameters": None,
        "reason": None,
        "keys": (entry,),
        "trained_in": "train",
    }
    return Row(**{"rank": rank, "method": entry, "scores": scores, **rest, **fields})


def make_table(rows: list[Row], kind: str = "evaluate", title: str = "Clean: camvid test", **protocol: Any) -> Table:
    """Return a table whose columns are those of its rows, the first one ranking; those with a slash are details."""
    columns = tuple(dict.fromkeys(column for row in rows for column in row.scores))
    details = tuple(column for column in columns if "/" in column)
    summary = tuple(column for column in columns if column not in details)
    data = {"kind": kind, "dataset": {"type": "camvid", "split": "test"}, **protocol}
    return Table(title, data, (*summary, *details), details, tuple(rows))


def make_board(*tables: Table, **fields: Any) -> Board:
    """Return a board of tables."""
    rest = {"experiment": "demo", "profile": "full", "title": "A board by hand", "miniature": False, **fields}
    return Board(tables=tables, **rest)


def make_benchmark(count: int = 3) -> Table:
    """Return a table of a grid of 3 corruptions at 2 severities: row i has mPC 0.9 - 0.01 i, and the last is unranked."""
    rows = [_make_entry(index, last=index == count - 1) for index in range(count)]
    return make_table(
        rows, "benchmark", "Corruptions (quick): camvid test", cells=[[c, s] for c in CORRUPTIONS for s in (1, 3)]
    )


def _make_entry(index: int, last: bool) -> Row:
    mean = round(0.9 - 0.01 * index, 4)
    cells = {
        f"{name}/{severity}": make_score(
            mean - 0.1 * severity, low=mean - 0.1 * severity - 0.02, high=mean - 0.1 * severity + 0.02
        )
        for name in CORRUPTIONS
        for severity in (1, 3)
    }
    reason = "1 of 1 runs have no mPC: a cell that it needs is missing or empty" if last else None
    main = make_score(None) if last else make_score(mean, low=mean - 0.01, high=mean + 0.01)
    return make_row(
        f"net{index}",
        {
            "mPC": main,
            "clean": make_score(0.5 + 0.004 * ((7 * index) % 100)),
            "frames/s": make_score(2.0 + index),
            **cells,
        },
        rank=None if last else 1 if index < 2 else index + 1,
        architecture="UNet + FCNHead" if index % 2 else "CGNet + FCNHead",
        parameters=400_000 + 1000 * index,
        reason=reason,
        status="self-reported" if index == 1 else "reproduced",
        warnings=("fog/3 is near chance",) if index == 1 else (),
        training_data=("camvid train",),
        detail=Detail(
            classes=CLASSES,
            class_iou={"clean": (0.9, 0.5, None), "fog": (0.7, 0.3, 0.1)},
            reliability={"clean": BINS, "corrupted": BINS},
        ),
        provenance=Provenance(
            command=f"segshift sweep demo matrix.net=[net{index}]",
            experiment="demo",
            stage="grid",
            commits=("0123456",),
            packages={"torch": "2.13.0"},
            checkpoints=("ab" * 32,),
            datasets={"camvid": "cd" * 32},
            settings={"lr": 0.001},
        ),
    )


def make_stream() -> Table:
    """Return a table of a stream of two domains over three rounds."""
    rows = [
        make_row(
            "cgnet",
            {
                "mean mIoU": make_score(mean),
                "night": make_score(mean),
                "rain": make_score(mean),
                "ECE": make_score(0.1),
            },
            rank=rank,
            adaptation=method,
            detail=Detail(
                classes=CLASSES,
                class_iou={"night": (0.5, 0.4, 0.3), "rain": (0.5, None, 0.3)},
                rounds={"night": (mean, mean - 0.1, mean - 0.2), "rain": (mean, mean, None)},
            ),
        )
        for rank, (method, mean) in enumerate((("tent", 0.5), ("source", 0.4)), 1)
    ]
    return make_table(rows, "stream", "Test-time stream: night, rain", dataset=None, datasets={"n": {"type": "acdc"}})


def make_pictures(row: str, count: int) -> tuple[Picture, ...]:
    """Return pictures whose image and label all rows share, and whose prediction and error are the row's own."""
    return tuple(
        Picture(
            frame=f"frame{index}",
            condition="clean",
            key=row,
            files={
                "image": f"frame{index}-image.jpg",
                "label": f"frame{index}-label.png",
                "prediction": f"frame{index}-prediction-{row}.png",
                "error": f"frame{index}-error-{row}.png",
            },
        )
        for index in range(count)
    )
