"""The drawing of a graph: layers, boxes that do not overlap, and edges that cross none of them."""

from __future__ import annotations

import itertools
import re

import pytest

from orchestrator.report.stage_graph import HEIGHT, WIDTH, draw_graph, sort_layers, tell_times


def name_layers(layers) -> list[list[str]]:
    return [[item for item in layer if isinstance(item, str)] for layer in layers]


def test_each_stage_stands_right_of_what_it_needs() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a", "b"], "d": [], "e": ["d"]}
    assert name_layers(sort_layers(needs)) == [["a", "d"], ["b", "e"], ["c"]]


def test_what_shares_a_source_stands_near_it() -> None:
    needs = {"top": [], "bottom": [], "of_bottom": ["bottom"], "of_top": ["top"]}
    assert name_layers(sort_layers(needs)) == [["top", "bottom"], ["of_top", "of_bottom"]]


def read_points(path: str) -> list[tuple[float, float]]:
    """Points along a path of M, C and H, cubic curves sampled."""
    points: list[tuple[float, float]] = []
    for letter, text in re.findall(r"([MCH])([^MCH]*)", path):
        numbers = [float(number) for number in text.split()]
        if letter == "M":
            points.append((numbers[0], numbers[1]))
        elif letter == "H":
            start, y = points[-1]
            points += [(start + (numbers[0] - start) * step / 20, y) for step in range(1, 21)]
        else:
            (x0, y0), (x1, y1, x2, y2, x3, y3) = points[-1], numbers
            for t in (step / 20 for step in range(1, 21)):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
                points.append(
                    (
                        sum(w * x for w, x in zip(weights, (x0, x1, x2, x3), strict=True)),
                        sum(w * y for w, y in zip(weights, (y0, y1, y2, y3), strict=True)),
                    )
                )
    return points


@pytest.mark.parametrize("width", [1, 3, 12])
def test_no_two_boxes_overlap_and_no_edge_crosses_a_box(width: int, make_view) -> None:
    views = {}
    for place in range(width):
        views[f"net{place}"] = make_view(f"net{place}")
        views[f"mid{place}"] = make_view(f"mid{place}", [f"net{place}"])
    views["end"] = make_view("end", [f"mid{place}" for place in range(width)] + ["net0"])
    drawing = draw_graph(views, {"leaderboard": ["end", *[f"net{place}" for place in range(width)]]})
    boxes = [(box.x, box.y, box.x + WIDTH, box.y + HEIGHT) for box in drawing.boxes]
    assert len(boxes) == 2 * width + 2
    for one, other in itertools.combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert top >= 0
        assert right <= drawing.width
        assert bottom <= drawing.height
    assert len(drawing.edges) == width + (width + 1) + (width + 1)
    for path in drawing.edges:
        for x, y in read_points(path):
            assert not any(left < x < right and top < y < bottom for left, top, right, bottom in boxes), path


def test_a_box_says_what_matters_most(make_view) -> None:
    views = {f"net[{state}]": make_view(f"net[{state}]", state=state) for state in ("done", "failed", "open")}
    (box,) = draw_graph(views, {}).boxes
    assert (box.tone, box.tasks) == ("failed", "3 tasks: 1 done, 1 failed, 1 not run")


def test_needs_are_said_in_words_and_tasks_of_one_stage_need_each_other_silently(make_view) -> None:
    views = {
        "net[0]": make_view("net[0]"),
        "net[1]": make_view("net[1]", ["net[0]"]),
        "clean": make_view("clean", ["net[0]", "net[1]"]),
    }
    drawing = draw_graph(views, {"leaderboard": ["clean", "not there"]})
    assert drawing.words == (("clean", "net"), ("leaderboard", "clean"))


def test_times_are_means_over_what_ran_against_the_forecast(make_view, make_task, make_record) -> None:
    record = make_record(make_task("net"), seconds=90.0)
    ran, waits = (
        make_view("a", record=record, expected_s=60.0),
        make_view("b", state="open", expected_s=60.0, estimate_s=90.0),
    )
    assert tell_times([ran, waits]) == ("took 1 min 30 s each", "forecast 1 min 00 s each")
    assert tell_times([waits]) == ("", "forecast 1 min 00 s")
    assert tell_times([make_view("c", state="open", estimate_s=90.0)]) == ("", "forecast 1 min 30 s")
    assert tell_times([make_view("c", record=record, estimate_s=90.0)]) == ("took 1 min 30 s", "no forecast")


def test_an_experiment_without_stages_is_an_empty_drawing() -> None:
    assert draw_graph({}, {}).boxes == ()
