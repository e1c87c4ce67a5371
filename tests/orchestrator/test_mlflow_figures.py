"""Which figures a record has, and that they are pictures."""

from __future__ import annotations

from pathlib import Path

from orchestrator.mlflow_figures import draw_figures

HALF = ((2, 2), (2, 2))
PNG = b"\x89PNG"


def test_records_have_the_figures_of_what_they_scored(make_task, make_record, tmp_path: Path) -> None:
    fog = {f"fog/{s}": ({"corruption": "fog", "severity": s}, HALF) for s in (1, 2)}
    grid = make_record(
        make_task("g", "benchmark"), {"clean": ({}, HALF), **fog}, protocol={"cells": [["fog", 1], ["fog", 2]]}
    )
    rounds = [{f"{r}/day": ({"round": r, "domain": "day"}, HALF) for r in range(n)} for n in (1, 2)]
    one, two = (make_record(make_task("s", "stream"), cells) for cells in rounds)
    clean = make_record(make_task("clean"), {"clean": ({}, ((3, 0), (0, 0)))})
    failed = make_record(make_task("clean"), failure="no luck")
    drawn = [
        draw_figures(record, tmp_path)
        for record in (grid, one, two, clean, failed, make_record(make_task("t", "train")))
    ]
    assert [[file.name for file in files] for files in drawn] == [
        ["severity.png"], [], ["rounds.png"], ["classes.png"], [], [],
    ]  # fmt: skip
    assert all(file.read_bytes().startswith(PNG) and file.stat().st_size < 60_000 for files in drawn for file in files)
