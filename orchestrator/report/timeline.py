"""The layout of what ran when and where: a bar for each task, in lanes of the machine that it ran on."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.progress import show_duration
from orchestrator.record import Record
from orchestrator.report.survey import TaskView

IDLE_S = 1800.0  # ours: a longer pause in which nothing ran begins another drawing
MOST_PERIODS = 6  # of these, the newest
MOST_BARS = 2000  # ours: of a drawing, the longest; what more there is would be thinner than a line
WIDTH, LEFT, RIGHT = 1120, 120, 16  # px; LEFT holds the name of a machine
LANE, TOP = 22, 24
LETTER = 6.4  # px, ours: mean width of a letter at 11 px

_STEPS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
)


@dataclass(frozen=True)
class Bar:
    """A task: its place in px, its colour's number by stage, a label where it has room, and all of it in words."""

    x: float
    y: int
    width: float
    colour: int
    is_failed: bool
    label: str
    words: str


@dataclass(frozen=True)
class Lanes:
    """A machine's lanes: its name and where they begin, in px."""

    host: str
    y: int


@dataclass(frozen=True)
class Period:
    """A time in which tasks ran without a long pause.

    Attributes:
        title: when it began and how long it took.
        height: of the drawing, in px.
        bars: the tasks.
        hosts: the machines.
        ticks: (x in px, time since the begin) of the axis.
        left_out: how many short tasks are not drawn.
    """

    title: str
    height: int
    bars: tuple[Bar, ...]
    hosts: tuple[Lanes, ...]
    ticks: tuple[tuple[float, str], ...]
    left_out: int


@dataclass(frozen=True)
class _Span:
    start: float
    end: float
    host: str
    view: TaskView


def draw_timeline(views: Iterable[TaskView], stages: Sequence[str]) -> list[Period]:
    """Lay out the tasks that ran, in the newest periods without a long pause.

    Args:
        views: of all tasks.
        stages: in the order of their colours.
    """
    spans = sorted(
        (span for view in views if (span := _find_span(view)) is not None), key=lambda span: (span.start, span.end)
    )
    periods: list[list[_Span]] = []
    end = -math.inf
    for span in spans:
        if span.start > end + IDLE_S:
            periods.append([])
        periods[-1].append(span)
        end = max(end, span.end)
    colours = {stage: place for place, stage in enumerate(stages)}
    return [_draw_period(period, colours) for period in periods[-MOST_PERIODS:]]


def _find_span(view: TaskView) -> _Span | None:
    record: Record | None = view.record if view.state in ("done", "failed") else None
    if record is None:
        return None
    start = datetime.datetime.fromisoformat(record.started_at).timestamp()
    return _Span(start, start + max(record.seconds, 0.0), str(record.environment.get("host") or "unknown"), view)


def assign_lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Give each span the first lane that is free when it starts.

    Args:
        spans: (start, end), by start.
    """
    ends: list[float] = []
    lanes = []
    for start, end in spans:
        lane = next((place for place, busy in enumerate(ends) if busy <= start), len(ends))
        if lane == len(ends):
            ends.append(end)
        ends[lane] = end
        lanes.append(lane)
    return lanes


def _draw_period(spans: Sequence[_Span], colours: dict[str, int]) -> Period:
    begin, end = min(span.start for span in spans), max(span.end for span in spans)
    length = max(end - begin, 1.0)
    scale = (WIDTH - LEFT - RIGHT) / length
    kept = sorted(sorted(spans, key=lambda span: span.start - span.end)[:MOST_BARS], key=lambda span: span.start)
    bars: list[Bar] = []
    hosts: list[Lanes] = []
    y = TOP
    for host in sorted({span.host for span in kept}):
        mine = [span for span in kept if span.host == host]
        lanes = assign_lanes([(span.start, span.end) for span in mine])
        hosts.append(Lanes(host, y))
        for span, lane in zip(mine, lanes, strict=True):
            x, width = LEFT + (span.start - begin) * scale, max((span.end - span.start) * scale, 1.5)
            bars.append(_make_bar(span, x, y + lane * LANE, width, colours[span.view.stage], begin))
        y += (max(lanes) + 1) * LANE + 10
    moment = datetime.datetime.fromtimestamp(begin, datetime.UTC)
    return Period(
        title=f"{moment:%Y-%m-%d %H:%M} UTC, {show_duration(length)}",
        height=y,
        bars=tuple(bars),
        hosts=tuple(hosts),
        ticks=tuple((round(LEFT + seconds * scale, 1), show_tick(seconds)) for seconds in list_ticks(length)),
        left_out=len(spans) - len(kept),
    )


def _make_bar(span: _Span, x: float, y: int, width: float, colour: int, begin: float) -> Bar:
    view = span.view
    label = view.name if len(view.name) * LETTER + 8 < width else ""
    failed = " (failed)" if view.state == "failed" else ""
    words = f"{view.name}{failed}: {show_duration(span.end - span.start)}, from {show_duration(span.start - begin)} on {span.host}"
    return Bar(round(x, 1), y, round(width, 1), colour, bool(failed), label, words)


def show_tick(seconds: float) -> str:
    """Print a round time briefly: `90 s` as `1 min 30 s`, `1800 s` as `30 min`."""
    parts = []
    for unit, factor in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(round(seconds), factor)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0"


def list_ticks(length_s: float) -> list[float]:
    """Return from three to eight round times between 0 and a length in seconds."""
    step = next((step for step in _STEPS_S if length_s / step <= 7), _STEPS_S[-1])
    step *= max(1, math.ceil(length_s / step / 7))
    return [float(place * step) for place in range(int(length_s / step) + 1)]
