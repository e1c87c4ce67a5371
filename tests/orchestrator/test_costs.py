"""Costs: what was measured, kept and estimated, worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapt.tta.stream_settings import StreamSettings
from experiments.graph import Graph
from experiments.task import Task
from orchestrator.costs import (
    KEPT,
    add_costs,
    count_frames,
    count_trials,
    describe_budget,
    estimate_remaining_s,
    estimate_s,
    read_costs,
)
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState


def test_measured_seconds_are_kept_and_the_oldest_forgotten(store: Store, make_task, make_graph) -> None:
    store.check_writable()
    task = make_task("clean")
    assert read_costs(store) == {}
    for second in range(KEPT + 2):
        add_costs(store, SweepState(make_graph(task), {task.key: Status.DONE}, {task.key: second + 0.123}))
    kept = read_costs(store)
    assert list(kept) == ["byhand/full/clean"]
    assert kept["byhand/full/clean"] == [pytest.approx(second + 0.12) for second in range(2, KEPT + 2)]


def test_damaged_costs_are_no_reason_to_stop(store: Store) -> None:
    store.check_writable()
    for text in ("{", "[1]"):
        (store.root / "costs.json").write_text(text)
        assert read_costs(store) == {}


def test_a_task_costs_the_median_or_what_its_file_expects(make_task, make_graph) -> None:
    task, expected = make_task("clean"), make_task("clean", expected_seconds=7)
    graph = make_graph(task, expected)
    costs = {"byhand/full/clean": [1.0, 9.0, 2.0]}
    assert estimate_s(task, graph, costs) == 2.0
    assert estimate_s(expected, graph, costs) == 2.0
    assert estimate_s(expected, graph, {"byhand/mini/clean": [1.0]}) == 7.0
    assert estimate_s(task, graph, {"byhand/mini/clean": [1.0]}) is None


def test_what_remains_is_spread_over_the_slots(make_task, make_graph) -> None:
    """Waiting 10 s, half-done 10 s, done: (10 + 5) / 2 slots = 7.5 s."""
    done, half, waiting = (make_task("clean", limit=n) for n in (1, 2, 3))
    status = {done.key: Status.DONE, half.key: Status.SUBMITTED, waiting.key: Status.WAITING}
    state = SweepState(make_graph(done, half, waiting), status, {done.key: 10.0}, live={half.key: {"progress": 0.5}})
    assert estimate_remaining_s(state, {}, 2) == pytest.approx(7.5)


def test_a_stage_never_measured_makes_the_rest_unknown(make_task, make_graph) -> None:
    task = make_task("clean")
    assert estimate_remaining_s(SweepState(make_graph(task), {task.key: Status.WAITING}), {}, 1) is None


CONTINUAL = {"kind": "continual", "domains": [{"dataset": "fog"}, {"dataset": "night"}]}


@pytest.fixture
def make_searched(make_task, make_graph) -> Callable[..., tuple[Graph, Task, Task]]:
    """Make a search of three trials and the stream that it is for, which is expected to take 40 s."""

    def make(tried: dict[str, Any], reported: dict[str, Any]) -> tuple[Graph, Task, Task]:
        chosen = {"stream": {"kind": "single", "domains": [{"dataset": "test"}], **tried}, "space": {"lr": [1, 2, 3]}}
        search = make_task("weather.search", "search", search=chosen)
        stream = make_task("weather", "stream", expected_seconds=40, stream={**CONTINUAL, **reported}, search=chosen)
        stream = replace(stream, inputs={"method": search.key})
        return make_graph(search, stream), search, stream

    return make


@pytest.mark.parametrize(
    ("tried", "reported", "seconds"),
    [
        ({}, {}, 120),
        ({"limit": 5}, {}, 120),
        ({"limit": 5}, {"limit": 5}, 60),  # 1 domain of 2
        ({"limit": 5}, {"limit": 10, "rounds": 3}, 10),  # 5 of 60 frames
    ],
)
def test_a_search_costs_its_stream_for_each_trial_by_their_frames(make_searched, tried, reported, seconds) -> None:
    graph, search, stream = make_searched(tried, reported)
    assert estimate_s(search, graph, {}) == pytest.approx(seconds)
    assert estimate_s(search, graph, {"byhand/full/weather": [80.0]}) == pytest.approx(2 * seconds)
    assert estimate_s(search, graph, {"byhand/full/weather.search": [5.0]}) == 5.0
    assert estimate_s(stream, graph, {}) == 40
    assert [count_trials(task) for task in (search, stream)] == [3, None]


def test_a_search_never_measured_leaves_the_rest_of_a_sweep_known(make_searched) -> None:
    """The search 120 s, its stream 40 s, on two slots."""
    graph, search, stream = make_searched({}, {})
    state = SweepState(graph, {search.key: Status.WAITING, stream.key: Status.WAITING})
    assert estimate_remaining_s(state, {}, 2) == pytest.approx(80)


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (CONTINUAL, None),
        ({**CONTINUAL, "limit": 4}, 8),
        ({**CONTINUAL, "limit": 4, "rounds": 3}, 24),
        ({**CONTINUAL, "kind": "recurring", "run_length": 3, "rounds": 2}, 12),
        ({**CONTINUAL, "kind": "cdc", "run_length": 3, "limit": 4}, 8),
        ({**CONTINUAL, "kind": "cdc", "run_length": 3}, None),
        ({"kind": "gradual", "domains": [{"dataset": "fog", "corruption": "fog"}], "limit": 2}, 18),
    ],
)
def test_the_frames_of_a_stream_as_its_settings_have_them(stream: dict[str, Any], frames: int | None) -> None:
    assert count_frames(StreamSettings.model_validate(stream)) == frames


@pytest.mark.parametrize(
    ("search", "expected", "budget", "trials", "seconds"),
    [
        ({"space": {"training.optimizer.lr": [0.1, 0.2, 0.3]}}, 40, "3 trials", 3, 120),
        ({"space": {"training.optimizer.lr": [0.1]}}, None, "1 trial", 1, None),
        ({"trials": 5}, 40, "5 trials", 5, 200),
        ({"trials": 5, "hours": 0.05}, 40, "up to 5 trials in 0.05 h", 5, 180),
        ({"trials": 4, "hours": 0.05}, 40, "up to 4 trials in 0.05 h", 4, 160),
        ({"hours": 2}, 40, "trials for 2 h", None, 7200),
    ],
)
def test_a_searched_training_costs_its_trials_and_no_more_than_its_hours(
    make_task,
    make_graph,
    search: dict[str, Any],
    expected: float | None,
    budget: str,
    trials: int | None,
    seconds: float,
) -> None:
    given = {"metric": "loss", "mode": "min", "space": {"training.optimizer.lr": {"uniform": [0.1, 0.2]}}} | search
    task = make_task("tuned", "train", search=given, expected_seconds=expected)
    assert describe_budget(task) == budget
    assert count_trials(task) == trials
    assert estimate_s(task, make_graph(task), {}) == (None if seconds is None else pytest.approx(seconds))


def test_what_is_no_search_has_no_budget(make_task) -> None:
    assert describe_budget(make_task("clean")) is None
