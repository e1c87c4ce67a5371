"""The report of an experiment as one self-contained page."""

from __future__ import annotations

import base64
import datetime
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from experiments.header import read_header
from experiments.planning import Plan
from orchestrator.compare.page import list_colours, list_frames
from orchestrator.compare.side import Side
from orchestrator.costs import read_costs
from orchestrator.leaderboard.forms import (
    MINIATURE_NOTICE,
    list_notes,
    show_interval,
    show_ranks,
    show_score,
    show_seeds,
)
from orchestrator.leaderboard.page.render import render_page
from orchestrator.leaderboard.publish import make_board
from orchestrator.leaderboard.source import RecordSource, StoreSource
from orchestrator.leaderboard.table import Table
from orchestrator.progress import show_bytes, show_duration
from orchestrator.report.environment import describe_environments, list_datasets, sum_disk_use
from orchestrator.report.stage_graph import HEIGHT, WIDTH, draw_graph, tell_times
from orchestrator.report.survey import WORDS, TaskView, count_states, survey_tasks, tell_standing
from orchestrator.report.timeline import LANE, draw_timeline
from orchestrator.report.timeline import WIDTH as TIMELINE_WIDTH
from orchestrator.report.training import draw_trainings, list_searches
from orchestrator.store import PICTURES, Store
from orchestrator.sweep_note import SweepNote

# Ours, so that the page of a long experiment stays below a few MB.
LISTED_TASKS = 500
PICTURE_WIDTH = 720  # px, of what a training drew
PICTURE_QUALITY = 80
MOST_PICTURES = 12
MOST_FRAMES = 4  # of each table
MOST_SIDES = 8  # rows whose predictions are beside each other


@dataclass(frozen=True)
class Drawn:
    """A picture that a training drew, embedded."""

    caption: str
    source: str


def to_html(experiment: str, plan: Plan, store: Store, note: SweepNote | None, sweep_command: str, command: str) -> str:
    """Return the report of an experiment; it may be half done, failed, or not begun.

    Args:
        experiment: its name, or the path of its file.
        plan: of it, under one profile.
        store: with whatever is there of it.
        note: of its last sweep, where one was left.
        sweep_command: that makes what is missing.
        command: that makes the page again.
    """
    graph = plan.graph
    source = StoreSource(store, set(graph.tasks))
    views = survey_tasks(graph, store, source, read_costs(store))
    tasks = list(views.values())
    done = [view.record for view in tasks if view.record is not None and view.state == "done"]
    ran = [view.record for view in tasks if view.record is not None]
    board = make_board(plan, source)
    stages = list(dict.fromkeys(view.stage for view in tasks))
    disk = sum_disk_use(done)
    return render_page(
        "report.html.j2",
        package="orchestrator.report",
        styles=("report.css",),
        graph=graph,
        header=read_header(experiment),
        standing=tell_standing(tasks),
        counts=[(WORDS[state], state, count) for state, count in count_states(tasks).items()],
        problems=plan.problems,
        notice=MINIATURE_NOTICE if plan.facts.miniature_root is not None else None,
        next_command=None if all(view.state == "done" for view in tasks) else sweep_command,
        sweep=_describe_sweep(note),
        drawing=draw_graph(views, {name: stage.needs for name, stage in graph.leaderboards.items()}),
        box={"width": WIDTH, "height": HEIGHT},
        stages=[_describe_stage(stage, [view for view in tasks if view.stage == stage]) for stage in stages],
        failures=[view for view in tasks if view.state in ("failed", "unusable")],
        tables=[_describe_table(table, source) for table in board.tables],
        trainings=draw_trainings(tasks, source.find_file),
        searches=list_searches(tasks, source.find_file),
        pictures=draw_pictures(tasks, source),
        periods=draw_timeline(tasks, stages),
        lane=LANE,
        timeline_width=TIMELINE_WIDTH,
        rows=[_describe_task(view) for view in tasks[:LISTED_TASKS]],
        more_tasks=max(0, len(tasks) - LISTED_TASKS),
        environment=describe_environments(ran),
        datasets=list_datasets(task.datasets for task in graph.tasks.values()),
        disk=[(use, show_bytes(use.size_bytes)) for use in disk],
        disk_total=show_bytes(sum(use.size_bytes for use in disk)),
        store=str(store.place),
        made_at=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        command=command,
    )


def _describe_sweep(note: SweepNote | None) -> str | None:
    if note is None or note.driver is None:
        return None
    how = {"complete": "complete", "failed": "ended with tasks that have no result", "stopped": "stopped"}
    ended = how[note.ended] if note.ended is not None else "had not ended"
    began = f"began {note.started_at[:16].replace('T', ' ')} UTC on {note.driver.host}, " if note.started_at else ""
    return f"{began}{ended} when it last wrote, {note.updated_at[:16].replace('T', ' ')} UTC"


def _describe_stage(stage: str, tasks: Sequence[TaskView]) -> dict[str, Any]:
    took = [view.seconds for view in tasks if view.seconds is not None]
    return {
        "name": stage,
        "kind": tasks[0].kind,
        "tasks": len(tasks),
        "states": ", ".join(f"{count} {WORDS[state]}" for state, count in count_states(tasks).items()),
        "times": ", ".join(text for text in tell_times(tasks) if text),
        "total": show_duration(sum(took)) if took else "–",
    }


def _describe_task(view: TaskView) -> dict[str, Any]:
    record = view.record
    return {
        "view": view,
        "state": WORDS[view.state],
        "took": show_duration(view.seconds) if view.seconds is not None else "–",
        "expected": show_duration(view.estimate_s) if view.estimate_s is not None else "–",
        "memory": show_bytes(record.peak_memory_bytes) if record is not None and record.peak_memory_bytes else "–",
        "host": str(record.environment.get("host", "–")) if record is not None else "–",
        "started": record.started_at[:19].replace("T", " ") if record is not None else "–",
    }


def _describe_table(table: Table, source: RecordSource) -> dict[str, Any]:
    columns = [column for column in table.columns if column not in table.details]
    rows = [
        {
            "rank": rank,
            "entry": row.entry,
            "seeds": show_seeds(row),
            "cells": [show_score(row.scores.get(column), column) for column in columns],
            "interval": show_interval(row.scores.get(columns[0]), columns[0]) if columns else "",
        }
        for rank, row in zip(show_ranks(table.rows), table.rows, strict=True)
    ]
    return {
        "title": table.title,
        "columns": columns,
        "rows": rows,
        "notes": list_notes(table),
        **_describe_frames(table, source),
    }


def _describe_frames(table: Table, source: RecordSource) -> dict[str, Any]:
    """Return fixed frames with what the best rows made of them, and the colours of their classes."""
    sides = [
        Side(row.entry, table.title, table.protocol, (), source.find_file, row.detail.pictures)
        for row in table.rows
        if row.detail is not None and row.detail.pictures
    ]
    classes = next((row.detail.classes for row in table.rows if row.detail is not None and row.detail.pictures), ())
    return {
        "frames": list_frames(sides[:MOST_SIDES], MOST_FRAMES) if sides else [],
        "colours": list_colours(sides[:MOST_SIDES], classes),
    }


def draw_pictures(views: Iterable[TaskView], source: RecordSource) -> list[Drawn]:
    """Return the last picture that each finished training drew, small enough for a page; at most `MOST_PICTURES`."""
    drawn: list[Drawn] = []
    for view in views:
        if view.record is None or view.state != "done":
            continue
        names = sorted(name for name in view.record.files if name.startswith(f"{PICTURES}/") and name.endswith(".png"))
        series = {
            name.rstrip("0123456789.png_-"): name for name in names
        }  # of one that is drawn again and again, the last
        for name in series.values():
            file = source.find_file(view.key, name) if len(drawn) < MOST_PICTURES else None
            shrunk = shrink_picture(file) if file is not None else None
            if shrunk is not None:
                drawn.append(Drawn(f"{view.name}: {Path(name).stem}", shrunk))
    return drawn


def shrink_picture(file: Path) -> str | None:
    """Return a picture as the data URI of a JPEG of at most `PICTURE_WIDTH`, or None where it is none."""
    try:
        with Image.open(file) as picture:
            small = picture.convert("RGB")
            small.thumbnail((PICTURE_WIDTH, 4 * PICTURE_WIDTH))
            content = io.BytesIO()
            small.save(content, "JPEG", quality=PICTURE_QUALITY)
    except (OSError, UnidentifiedImageError, ValueError):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
