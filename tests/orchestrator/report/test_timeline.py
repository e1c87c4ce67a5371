"""What ran when: lanes without overlaps, periods apart, and round ticks."""

from __future__ import annotations

import datetime
import itertools

import pytest

from orchestrator.report.timeline import LEFT, MOST_PERIODS, WIDTH, assign_lanes, draw_timeline, list_ticks, show_tick


@pytest.fixture
def make_run(make_view, make_task, make_record):
    """A task that began so many seconds after noon."""

    def make(name: str, begin: float, seconds: float, host: str = "one", state: str = "done"):
        moment = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC) + datetime.timedelta(seconds=begin)
        fields = {"started_at": moment.isoformat(), "seconds": seconds, "environment": {"host": host}}
        failure = "broken" if state == "failed" else None
        return make_view(name, state=state, record=make_record(make_task(name), failure=failure, **fields))

    return make


def test_tasks_side_by_side_have_lanes_of_their_own() -> None:
    spans = [(0.0, 10.0), (1.0, 3.0), (2.0, 4.0), (3.0, 9.0), (10.0, 11.0)]
    assert assign_lanes(spans) == [0, 1, 2, 1, 0]


def test_bars_lie_where_and_as_long_as_the_tasks_ran(make_run) -> None:
    (period,) = draw_timeline(
        [make_run("a", 0, 50), make_run("b", 50, 50), make_run("c", 0, 100, host="two")], ["a", "b", "c"]
    )
    a, b, c = period.bars
    scale = (WIDTH - LEFT - 16) / 100
    assert [(bar.x, bar.width) for bar in (a, b, c)] == [
        (LEFT, pytest.approx(50 * scale)),
        (pytest.approx(LEFT + 50 * scale), pytest.approx(50 * scale)),
        (LEFT, pytest.approx(100 * scale)),
    ]
    assert a.y == b.y < c.y
    assert [host.host for host in period.hosts] == ["one", "two"]
    assert (a.colour, b.colour, a.label) == (0, 1, "a")
    assert a.words == "a: 50 s, from 0 s on one"
    assert period.title == "2026-01-01 12:00 UTC, 1 min 40 s"


def test_a_long_pause_begins_another_drawing_and_old_ones_are_left_out(make_run) -> None:
    views = [make_run(f"run{day}", 86_400 * day, 60) for day in range(MOST_PERIODS + 2)]
    periods = draw_timeline(views, [view.stage for view in views])
    assert [period.bars[0].words.split(":")[0] for period in periods] == [
        f"run{day}" for day in range(2, MOST_PERIODS + 2)
    ]


def test_a_long_task_bridges_a_pause_of_others(make_run) -> None:
    views = [make_run("long", 0, 7200), make_run("first", 0, 10), make_run("last", 7100, 10)]
    assert len(draw_timeline(views, ["long", "first", "last"])) == 1


def test_failures_are_marked_and_what_never_ran_is_not_there(make_run, make_view) -> None:
    (period,) = draw_timeline([make_run("bad", 0, 5, state="failed"), make_view("open", state="open")], ["bad", "open"])
    (bar,) = period.bars
    assert (bar.is_failed, bar.words) == (True, "bad (failed): 5 s, from 0 s on one")
    assert draw_timeline([make_view("open", state="open")], ["open"]) == []


@pytest.mark.parametrize("length", [1.0, 7.0, 59.0, 3600.0, 5000.0, 86_400.0, 1e6, 1e8])
def test_ticks_are_few_even_and_within(length: float) -> None:
    ticks = list_ticks(length)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 8
    assert ticks[-1] <= length
    assert len({round(b - a, 6) for a, b in itertools.pairwise(ticks)}) == 1


def test_times_read_well() -> None:
    assert [show_tick(seconds) for seconds in (0, 5, 60, 90, 1800, 5400, 86_400)] == [
        "0", "5 s", "1 min", "1 min 30 s", "30 min", "1 h 30 min", "1 d",
    ]  # fmt: skip
