"""The layout of an experiment's graph as a drawing: a box for each stage, in layers by what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.progress import show_duration
from orchestrator.report.survey import WORDS, State, TaskView, count_states

# Sizes in px, ours: a box holds a name of 26 letters at 13 px and four lines below it.
WIDTH, HEIGHT = 228, 110
LANE = 16  # what an edge takes that passes a layer
GAP_X, GAP_Y = 56, 18
MARGIN = 8
ARROW = 6  # the head of an edge
NAME_LETTERS = 26
SAID_LETTERS = 37

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
        took: how long they took, in words; empty before that.
        expected: how long they were expected to take, in words.
    """

    name: str
    shown: str
    kind: str
    x: int
    y: int
    tone: State
    tasks: str
    took: str
    expected: str


@dataclass(frozen=True)
class _Bend:
    """Where an edge from `needed` to `name` passes a layer that neither of the two is in."""

    needed: str
    name: str
    layer: int


_Item = str | _Bend


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
    heights = [sum(map(_measure, layer)) + GAP_Y * (len(layer) - 1) for layer in layers]
    tallest = max(heights, default=0)
    places: dict[_Item, tuple[int, int]] = {}
    for column, (layer, height) in enumerate(zip(layers, heights, strict=True)):
        y = MARGIN + (tallest - height) // 2
        for item in layer:
            places[item] = (MARGIN + column * (WIDTH + GAP_X), y)
            y += _measure(item) + GAP_Y
    boxes = tuple(_make_box(name, *places[name], stages.get(name, [])) for name in places if isinstance(name, str))
    edges = tuple(_link(needed, name, places) for name, wanted in needs.items() for needed in wanted)
    words = tuple((name, ", ".join(wanted)) for name, wanted in needs.items() if wanted)
    width = 2 * MARGIN + len(layers) * (WIDTH + GAP_X) - GAP_X
    return Drawing(max(width, 1), 2 * MARGIN + tallest, boxes, edges, words)


def sort_layers(needs: Mapping[str, Sequence[str]]) -> list[list[_Item]]:
    """Sort names into layers: each stands right of all that it needs, and within its layer near the middle of these.

    Args:
        needs: name -> names that it needs; without cycles, and each is a key.

    Returns:
        The layers; where an edge passes one, it has a place of its own there, so that it crosses no box.
    """
    depth: dict[str, int] = {}

    def find_depth(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((find_depth(needed) for needed in needs[name]), default=-1)
        return depth[name]

    layers: list[list[_Item]] = [[] for _ in range(1 + max((find_depth(name) for name in needs), default=-1))]
    before: dict[_Item, list[_Item]] = {}
    for name, wanted in needs.items():
        layers[depth[name]].append(name)
        before[name] = []
        for needed in wanted:
            last: _Item = needed
            for layer in range(depth[needed] + 1, depth[name]):
                bend = _Bend(needed, name, layer)
                layers[layer].append(bend)
                before[bend] = [last]
                last = bend
            before[name].append(last)
    rows: dict[_Item, float] = {}
    for items in layers:
        middles = {
            item: sum(rows[one] for one in before[item]) / len(before[item]) if before[item] else float(place)
            for place, item in enumerate(items)
        }
        items.sort(key=lambda item: middles[item])
        rows |= {item: place - (len(items) - 1) / 2 for place, item in enumerate(items)}
    return layers


def _measure(item: _Item) -> int:
    return HEIGHT if isinstance(item, str) else LANE


def _make_box(name: str, x: int, y: int, tasks: Sequence[TaskView]) -> Box:
    if not tasks:
        return Box(name, _shorten(name), "leaderboard", x, y, "open", "made from records", "", "")
    counts = count_states(tasks)
    tone = next(state for state in _TONES if state in counts)
    number = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    others = ", ".join(f"{count} {WORDS[state]}" for state, count in counts.items())
    said = f"{number}, done" if set(counts) == {"done"} else f"{number}: {others}"
    return Box(name, _shorten(name), tasks[0].kind, x, y, tone, _shorten(said, SAID_LETTERS), *tell_times(tasks))


def tell_times(tasks: Sequence[TaskView]) -> tuple[str, str]:
    """Say how long the tasks of a stage took each, empty where none has; and how long they were expected to."""
    took = [view.seconds for view in tasks if view.seconds is not None]
    each = " each" if len(tasks) > 1 else ""
    known = [view.expected_s if took or view.expected_s is not None else view.estimate_s for view in tasks]
    forecast = next((seconds for seconds in known if seconds is not None), None)  # what they took is no forecast of it
    expected = f"forecast {show_duration(forecast)}{each}" if forecast is not None else "no forecast"
    return f"took {show_duration(sum(took) / len(took))}{each}" if took else "", expected


def _shorten(text: str, letters: int = NAME_LETTERS) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _link(needed: str, name: str, places: Mapping[_Item, tuple[int, int]]) -> str:
    """Return the path from the right edge of one box to the left edge of another, by the places kept free for it."""
    bends = [item for item in places if isinstance(item, _Bend) and (item.needed, item.name) == (needed, name)]
    x, y = places[needed][0] + WIDTH, places[needed][1] + HEIGHT // 2
    path = f"M{x} {y}"
    for bend in sorted(bends, key=lambda item: item.layer):
        left, middle = places[bend][0], places[bend][1] + LANE // 2
        path += f"{_curve(x, y, left, middle)}H{left + WIDTH}"
        x, y = left + WIDTH, middle
    return path + _curve(x, y, places[name][0] - ARROW, places[name][1] + HEIGHT // 2)


def _curve(x0: int, y0: int, x1: int, y1: int) -> str:
    bend = (x1 - x0) // 2
    return f"C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
