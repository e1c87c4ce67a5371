"""The layout of an experiment's graph as a drawing: a box for each stage, in layers by what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.progress import show_duration
from orchestrator.report.survey import WORDS, State, TaskView, count_states

# Sizes in px, ours: a box holds a name of 26 letters at 13 px and three lines below it.
WIDTH, HEIGHT = 216, 92
GAP_X, GAP_Y = 56, 18
MARGIN = 8
NAME_LETTERS = 26

_TONES: tuple[State, ...] = ("failed", "unusable", "running", "blocked", "open", "done")  # what a box shows first


@dataclass(frozen=True)
class Box:
    """A stage.

    Attributes:
        name: of the stage.
        shown: the name, shortened to its box.
        kind: of the stage.
        x: left edge, in px.
        y: upper edge, in px.
        tone: the state that its colour shows.
        tasks: how many there are and how they stand, in words.
        times: forecast and measurement, in words.
    """

    name: str
    shown: str
    kind: str
    x: int
    y: int
    tone: State
    tasks: str
    times: str


@dataclass(frozen=True)
class Drawing:
    """The boxes, the path of each edge in SVG's words, and the edges in words for who cannot see them."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]
    words: tuple[tuple[str, str], ...]


def draw_graph(views: Mapping[str, TaskView], leaderboards: Mapping[str, Sequence[str]]) -> Drawing:
    """Lay an experiment out from left to right.

    Args:
        views: its tasks, inputs before what needs them.
        leaderboards: name -> the stages that it shows.
    """
    stages: dict[str, list[TaskView]] = {}
    for view in views.values():
        stages.setdefault(view.stage, []).append(view)
    needs = {
        stage: list(
            dict.fromkeys(views[key].stage for view in tasks for key in view.inputs if views[key].stage != stage)
        )
        for stage, tasks in stages.items()
    }
    needs |= {name: [stage for stage in shown if stage in stages] for name, shown in leaderboards.items()}
    layers = sort_layers(needs)
    tallest = max((len(layer) for layer in layers), default=0)
    places: dict[str, tuple[int, int]] = {}
    for column, layer in enumerate(layers):
        top = (tallest - len(layer)) * (HEIGHT + GAP_Y) // 2
        for row, name in enumerate(layer):
            places[name] = (MARGIN + column * (WIDTH + GAP_X), MARGIN + top + row * (HEIGHT + GAP_Y))
    boxes = tuple(_make_box(name, *places[name], stages.get(name, [])) for name in places)
    edges = tuple(_link(places[needed], places[name]) for name, wanted in needs.items() for needed in wanted)
    words = tuple((name, ", ".join(wanted)) for name, wanted in needs.items() if wanted)
    width = 2 * MARGIN + len(layers) * (WIDTH + GAP_X) - GAP_X
    return Drawing(max(width, 1), 2 * MARGIN + max(tallest * (HEIGHT + GAP_Y) - GAP_Y, 0), boxes, edges, words)


def sort_layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Sort names into layers: each stands right of all that it needs, and within its layer near the middle of these.

    Args:
        needs: name -> names that it needs; without cycles, and each is a key.
    """
    depth: dict[str, int] = {}

    def find_depth(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((find_depth(needed) for needed in needs[name]), default=-1)
        return depth[name]

    layers: list[list[str]] = []
    for name in needs:
        while len(layers) <= find_depth(name):
            layers.append([])
        layers[depth[name]].append(name)
    rows: dict[str, float] = {}
    for layer in layers:
        middles = {
            name: sum(rows[needed] for needed in needs[name]) / len(needs[name]) if needs[name] else float(place)
            for place, name in enumerate(layer)
        }
        layer.sort(key=lambda name: middles[name])
        rows |= {name: place - (len(layer) - 1) / 2 for place, name in enumerate(layer)}
    return layers


def _make_box(name: str, x: int, y: int, tasks: Sequence[TaskView]) -> Box:
    if not tasks:
        return Box(name, _shorten(name), "leaderboard", x, y, "open", "made from records", "")
    counts = count_states(tasks)
    tone = next(state for state in _TONES if state in counts)
    number = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    others = ", ".join(f"{count} {WORDS[state]}" for state, count in counts.items())
    said = f"{number}, done" if set(counts) == {"done"} else f"{number}: {others}"
    return Box(name, _shorten(name), tasks[0].kind, x, y, tone, _shorten(said, 34), tell_times(tasks))


def tell_times(tasks: Sequence[TaskView]) -> str:
    """Say how long the tasks of a stage took each, and how long they were expected to."""
    took = [view.seconds for view in tasks if view.seconds is not None]
    forecast = next((s for view in tasks for s in (view.expected_s, view.estimate_s) if s is not None), None)
    expected = f"forecast {show_duration(forecast)}" if forecast is not None else "no forecast"
    if not took:
        return expected
    each = " each" if len(took) > 1 else ""
    return f"took {show_duration(sum(took) / len(took))}{each}, {expected}"


def _shorten(text: str, letters: int = NAME_LETTERS) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _link(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return a curve from the right edge of one box to the left edge of another."""
    x0, y0 = start[0] + WIDTH, start[1] + HEIGHT // 2
    x1, y1 = end[0] - 6, end[1] + HEIGHT // 2  # 6: the arrow's head
    bend = max(GAP_X // 2, (x1 - x0) // 3)
    return f"M{x0} {y0}C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
