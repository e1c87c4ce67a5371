"""Costs: what was measured, kept and estimated, worked by hand."""

from __future__ import annotations

import pytest

from orchestrator.costs import KEPT, add_costs, estimate_remaining_s, estimate_task_s, read_costs
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


def test_a_task_costs_the_median_or_what_its_file_expects(make_task) -> None:
    costs = {"byhand/full/clean": [1.0, 9.0, 2.0]}
    assert estimate_task_s(make_task("clean"), "byhand", "full", costs) == 2.0
    assert estimate_task_s(make_task("clean", expected_seconds=7), "byhand", "full", costs) == 2.0
    assert estimate_task_s(make_task("clean", expected_seconds=7), "byhand", "mini", costs) == 7.0
    assert estimate_task_s(make_task("clean"), "byhand", "mini", costs) is None


def test_what_remains_is_spread_over_the_slots(make_task, make_graph) -> None:
    """Waiting 10 s, half-done 10 s, done: (10 + 5) / 2 slots = 7.5 s."""
    done, half, waiting = (make_task("clean", limit=n) for n in (1, 2, 3))
    status = {done.key: Status.DONE, half.key: Status.SUBMITTED, waiting.key: Status.WAITING}
    state = SweepState(make_graph(done, half, waiting), status, {done.key: 10.0}, live={half.key: {"progress": 0.5}})
    assert estimate_remaining_s(state, {}, 2) == pytest.approx(7.5)


def test_a_stage_never_measured_makes_the_rest_unknown(make_task, make_graph) -> None:
    task = make_task("clean")
    assert estimate_remaining_s(SweepState(make_graph(task), {task.key: Status.WAITING}), {}, 1) is None
