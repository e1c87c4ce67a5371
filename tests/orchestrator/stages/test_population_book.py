"""A population without Ray: its members in turn, compared by a plain loop, interrupted, and with a member that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapt.errors import TaskError
from experiments.search import TRIALS_FILE, list_points
from experiments.task import Task
from orchestrator.execute import Assignment, execute
from orchestrator.stages import trial_book, uda
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store
from tests.orchestrator import stub_search
from tests.orchestrator.stub_search import INTERVAL, ITERATIONS, SAVED, build_population, list_made, step_by

LR = "training.optimizer.lr"
COMPARED = (20, 40)  # every second report of a training of 60


@pytest.fixture
def search(store: Store, assign, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(uda, "run", stub_search.train_member)
    return lambda task, on_step=lambda step, values: None: execute(assign(task), store, on_step)


def read_trials(store: Store, task: Task) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((store.folder(task.key) / TRIALS_FILE).read_text())
    return listed


def check_by_a_plain_loop(task: Task, trials: list[dict[str, Any]]) -> None:
    """Train the population anew in memory, by the history that it left, and judge every change in it."""
    search = task.settings.search
    rates = [point[LR] for point in list_points(search)]
    changes = {
        (number, change["iteration"]): change for number, trial in enumerate(trials) for change in trial["history"]
    }
    count = len(rates) // 4
    assert {iteration for _, iteration in changes} == set(COMPARED)
    assert len(changes) == count * len(COMPARED)
    levels, curves = [0.0] * len(rates), [[] for _ in rates]
    for iteration in range(1, ITERATIONS + 1):
        levels = [level + step_by(rate) for level, rate in zip(levels, rates, strict=True)]
        for number, curve in enumerate(curves):
            if iteration % INTERVAL == 0:
                curve.append([iteration, levels[number]])
        if iteration not in COMPARED:
            continue
        ranked = sorted(range(len(rates)), key=lambda number: levels[number])
        old_levels, old_rates = list(levels), list(rates)
        for number in range(len(rates)):
            change = changes.get((number, iteration))
            assert (change is not None) == (number in ranked[:count])
            if change is not None:
                assert change["donor"] in ranked[-count:]
                levels[number], rates[number] = old_levels[change["donor"]], change["point"][LR]
                ratio = rates[number] / old_rates[change["donor"]]
                assert (
                    search.scheduler.resample
                    or ratio == pytest.approx(0.8, rel=1e-5)
                    or ratio == pytest.approx(1.2, rel=1e-5)
                )
    assert [trial["point"] for trial in trials] == [{LR: rate} for rate in rates]
    assert [trial["score"] for trial in trials] == levels
    assert [trial["curve"] for trial in trials] == curves


@pytest.mark.parametrize("members", [4, 8])
def test_the_worst_go_on_from_the_best(search, store: Store, members: int) -> None:
    task = build_population(members, scheduler={**stub_search.PBT, "resample": 0.0})
    shares: list[float] = []
    record = search(task, lambda step, values: shares.append(values["progress"]))
    assert record.status == "done", record.failure
    trials = read_trials(store, task)
    check_by_a_plain_loop(task, trials)
    assert len(trials) == members
    best = max(range(members), key=lambda number: trials[number]["score"])
    assert record.method["point"] == trials[best]["point"]
    assert record.method["history"] == trials[best]["history"]
    assert record.method["stage"]["training"]["optimizer"]["lr"] == trials[best]["point"][LR]
    assert (store.folder(task.key) / "checkpoint.pth").read_text() == f"came to {trials[best]['score']}"
    assert len(list_made(store.root)) == members * ITERATIONS, "nobody trains what was taken over"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("kind", ["loss", "miou"])
def test_an_interrupted_population_is_the_one_that_was_not(
    search, store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Killed at many places, right behind a report or a resume point: the list is the same, and little was made twice."""
    task, quiet = build_population(4, seed=3), Store(store.root.parent / "quiet")
    execute(Assignment(task, "byhand", "full", {}, {}), quiet, lambda step, values: None)
    kills = iter(range(1, 10**6))
    deadline = [next(kills)]
    heard: list[int] = []

    def train(task: Task, context: StageContext) -> StageResult:
        def on_step(step: int, values: Any) -> None:
            if ("loss" in values) == (kind == "loss"):
                heard.append(step)
                if len(heard) == deadline[0]:
                    heard.clear()
                    deadline[0] = next(kills)
                    raise KeyboardInterrupt
            context.on_step(step, values)

        return stub_search.train_member(task, replace(context, on_step=on_step))

    monkeypatch.setattr(uda, "run", train)
    killed = 0
    record = None
    while record is None:
        try:
            record = search(task)
        except KeyboardInterrupt:
            killed += 1
            assert killed < 100
    assert killed > 4
    assert record.status == "done", record.failure
    trials, undisturbed = read_trials(store, task), read_trials(quiet, task)
    for trial in (*trials, *undisturbed):
        del trial["seconds"]
    assert trials == undisturbed
    assert len(list_made(store.root)) - 4 * ITERATIONS <= killed * 2 * SAVED


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_population_that_is_killed_while_it_is_compared_is_compared_again(
    search, store: Store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    task, quiet = build_population(4), Store(store.root.parent / "quiet")
    execute(Assignment(task, "byhand", "full", {}, {}), quiet, lambda step, values: None)
    real, calls = trial_book.TrialBook._save, []

    def save(book: Any) -> None:
        calls.append(book._population.until)
        is_first = calls.count(40) == 1 and calls[-1] == 40  # the one that names what the heirs begin from
        if is_first and place == "before":
            raise KeyboardInterrupt
        real(book)
        if is_first:
            raise KeyboardInterrupt

    monkeypatch.setattr(trial_book.TrialBook, "_save", save)
    with pytest.raises(KeyboardInterrupt):
        search(task)
    assert search(task).status == "done"
    trials, undisturbed = read_trials(store, task), read_trials(quiet, task)
    for trial in (*trials, *undisturbed):
        del trial["seconds"]
    assert trials == undisturbed
    assert len(list_made(store.root)) == 4 * ITERATIONS


def test_a_member_that_fails_is_left_out_of_the_comparison(
    search, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build_population(5)
    lost = list_points(task.settings.search)[1][LR]

    def train(task: Task, context: StageContext) -> StageResult:
        if task.settings.training.optimizer.lr == lost:
            raise TaskError("the loss is nan.")
        return stub_search.train_member(task, context)

    monkeypatch.setattr(uda, "run", train)
    record = search(task)
    assert record.status == "done", record.failure
    trials = read_trials(store, task)
    assert [trial["status"] for trial in trials] == ["done", "failed", "done", "done", "done"]
    assert record.metrics["failed_trials"] == 1
    changes = [change for trial in trials for change in trial["history"]]
    assert len(changes) == 2, "one of four at each comparison"
    assert 1 not in {change["donor"] for change in changes}


def test_a_population_of_failures_fails(search, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(task: Task, context: StageContext) -> StageResult:
        raise TaskError("the loss is nan.")

    monkeypatch.setattr(uda, "run", train)
    record = search(build_population(4))
    assert record.status == "failed"
    assert "None of the 4 trials of the search has a score." in record.failure.message
