"""The book of a search without Ray: trainings in turn, budgets, interruptions, and what lies in the folder in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.search import TRIALS_FILE
from experiments.task import Task
from orchestrator.execute import execute
from orchestrator.sampling import ListedSampler, NoPoint
from orchestrator.stages import trial_book, uda
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.stages.trial import Trial
from orchestrator.stages.trial_book import BOOK, REPORTS_FILE, TrialBook
from orchestrator.store import Store
from tests.orchestrator import stub_search
from tests.orchestrator.stub_search import ITERATIONS, build_search, list_iterations, score

LISTED = {"training.optimizer.lr": [0.1, 0.2, 0.45, 0.3, 0.55]}


@pytest.fixture
def search(store: Store, assign, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a search of the stub to its record, as `run-task` does."""
    monkeypatch.setattr(uda, "run", stub_search.train)

    def run(task: Task, on_step: Any = None) -> Any:
        return execute(assign(task), store, on_step or (lambda step, values: None))

    return run


def grid(**fields: Any) -> Task:
    return build_search(space=LISTED, trials=None, **fields)


def read_trials(store: Store, task: Task) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((store.folder(task.key) / TRIALS_FILE).read_text())
    return listed


def open_book(task: Task, folder: Path) -> TrialBook:
    return TrialBook(task, StageContext(folder, folder, {}, {}, {}, 1, 0, lambda step, values: None))


def test_the_network_of_the_best_trial_is_what_the_stage_makes(search, store: Store) -> None:
    task, steps = grid(), []
    record = search(task, lambda step, values: steps.append((step, dict(values))))
    assert record.status == "done", record.failure
    trials = read_trials(store, task)
    assert [(trial["status"], trial["score"]) for trial in trials] == [
        ("done", score(0.1, ITERATIONS)), ("failed", None), ("done", score(0.45, ITERATIONS)),
        ("done", score(0.3, ITERATIONS)), ("done", score(0.55, ITERATIONS)),
    ]  # fmt: skip
    assert trials[1]["reason"] == "the loss is nan."
    assert trials[0]["curve"] == [[step, score(0.1, step)] for step in (10, 20, 30, 40, 50, 60)]
    assert record.method["point"] == {"training.optimizer.lr": 0.45}, "0.55 has the same score, and is later"
    assert record.method["trial"] == 2
    assert record.method["stage"]["training"]["optimizer"]["lr"] == 0.45
    assert set(record.method["stage"]) >= {"model", "source", "target", "method", "training", "seed"}
    assert record.classes == ("road",)
    assert record.network == stub_search.TOY
    assert record.metrics == {
        "miou_last": score(0.45, ITERATIONS), "trials": 5, "failed_trials": 1, "best_score": score(0.45, ITERATIONS),
    }  # fmt: skip
    assert sorted(os.listdir(store.folder(task.key))) == ["checkpoint.pth", "record.json", TRIALS_FILE]
    assert (store.folder(task.key) / "checkpoint.pth").read_text() == "trained with 0.45"
    assert [step for step, _ in steps] == [0, 1, 2, 3, 4, 5]
    assert steps[3][1] == {"trials": 5.0, "progress": 0.6, "miou": score(0.45, ITERATIONS)}


def test_the_least_of_a_metric_may_be_best(search, store: Store) -> None:
    """The stub's loss is 1 / iteration for all, its lr is what it is: the smallest wins, as it was last reported."""
    stage = grid(metric="lr", mode="min")
    assert search(stage).method["point"] == {"training.optimizer.lr": 0.1}


def test_only_the_best_network_so_far_is_kept_on_the_way(search, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[list[str]] = []
    task = grid()
    scratch = store.scratch(task.key)
    search(task, lambda step, values: kept.append(sorted(p.read_text() for p in scratch.glob("trials/*/made/*.pth"))))
    assert kept == [[], *[["trained with 0.1"]] * 2, *[["trained with 0.45"]] * 3]


def test_an_interrupted_search_goes_on_from_the_resume_point_of_its_trial(
    search, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler learns from what has finished, so the later points are those of a search that was not interrupted."""
    task = build_search()
    real, calls = stub_search.train, []

    def interrupt(task: Task, context: StageContext) -> StageResult:
        calls.append(task)
        if len(calls) == 3:
            inner = context.on_step

            def stop(step: int, values: Any) -> None:
                inner(step, values)
                if step == 40 and "loss" in values:
                    raise KeyboardInterrupt

            from dataclasses import replace

            return real(task, replace(context, on_step=stop))
        return real(task, context)

    monkeypatch.setattr(uda, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(task)
    record = search(task)
    assert record.status == "done", record.failure
    assert len(calls) == 8 + 1
    assert all(made == list(range(1, ITERATIONS + 1)) for made in list_iterations(store.root).values())
    trials = read_trials(store, task)
    quiet = Store(store.root.parent / "quiet")
    from orchestrator.execute import Assignment

    monkeypatch.setattr(uda, "run", real)
    execute(Assignment(task, "byhand", "full", {}, {}), quiet, lambda step, values: None)
    undisturbed = read_trials(quiet, task)
    for trial in (*trials, *undisturbed):
        del trial["seconds"]
    assert trials == undisturbed


def test_hours_end_a_search_with_what_has_finished(search, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by hand: each look at it takes a minute."""
    now = iter(range(0, 10**6, 20))
    monkeypatch.setattr(trial_book.time, "monotonic", lambda: float(next(now)))
    task = build_search(trials=None, hours=1)
    record = search(task)
    assert record.status == "done", record.failure
    trials = read_trials(store, task)
    statuses = [trial["status"] for trial in trials]
    assert "done" in statuses
    assert statuses[-1] in ("done", "pruned")
    assert set(statuses[:-1]) == {"done"}
    assert record.metrics["pruned_trials"] == statuses.count("pruned")
    if statuses[-1] == "pruned":
        assert trials[-1]["reason"] == "the hours of the search were over"


def test_a_scheduler_needs_the_sweep(search) -> None:
    record = search(build_search(scheduler={"name": "asha", "grace": 20}))
    assert record.failure.message.startswith("The search has `scheduler: asha`, which compares trials while they run")


def test_settings_that_a_point_cannot_have_are_a_failed_trial(tmp_path: Path) -> None:
    """Each value is allowed, the two together are not; no training is begun."""
    space = {
        "method.strong_augment.blur_sigma": [[0.1, 0.5], [0.2, 0.3]], "training.optimizer.lr": [0.1, -1.0],
    }  # fmt: skip
    task = build_search(space=space, trials=None)
    book = open_book(task, tmp_path)
    given = list(iter(book.next, NoPoint.NEVER))
    assert [trial.point["training.optimizer.lr"] for trial in given if isinstance(trial, Trial)] == [0.1, 0.1]
    outcomes = [book.find_outcome(trial) for trial in book.trials]
    assert [outcome is None for outcome in outcomes] == [True, False, True, False]
    assert outcomes[1] is not None
    assert "lr: input should be greater than 0" in str(outcomes[1].reason)


def test_known_settings_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler repeats itself in a small space: the book asks it again, and what repeats is told of the trial's end."""
    told: list[tuple[int, float | None]] = []
    points = [0.1, 0.1, 0.3, 0.1, 0.4]
    monkeypatch.setattr(ListedSampler, "suggest", lambda self, asked: {"training.optimizer.lr": points[asked]})
    monkeypatch.setattr(ListedSampler, "complete", lambda self, asked, score: told.append((asked, score)))
    book = open_book(build_search(trials=3, sampler="random"), tmp_path)
    first, second = book.next(), book.next()
    assert [first.point["training.optimizer.lr"], second.point["training.optimizer.lr"]] == [0.1, 0.3]
    first.keep("done", 1.0, score=0.5)
    book.close(first)
    assert told == [(0, 0.5), (1, 0.5)]
    assert book.next().point == {"training.optimizer.lr": 0.4}
    assert told[2:] == [(3, 0.5)]
    assert book.next() is NoPoint.NEVER


def test_a_space_of_lists_ends_where_all_of_it_was_tried(tmp_path: Path) -> None:
    book = open_book(build_search(space={"training.optimizer.lr": [0.1, 0.3]}, trials=5, sampler="random"), tmp_path)
    given = list(iter(book.next, NoPoint.NEVER))
    assert sorted(trial.point["training.optimizer.lr"] for trial in given) == [0.1, 0.3]


def test_a_sampler_that_only_repeats_itself_is_waited_for_and_then_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ListedSampler, "suggest", lambda self, asked: {"training.optimizer.lr": 0.1})
    book = open_book(build_search(trials=3, sampler="random"), tmp_path)
    first = book.next()
    assert book.next() is NoPoint.LATER
    first.keep("done", 1.0, score=0.5)
    book.close(first)
    assert book.next() is NoPoint.NEVER


def test_a_cut_line_of_a_killed_process_is_passed_over(tmp_path: Path) -> None:
    book = open_book(grid(), tmp_path)
    trial = book.next()
    assert isinstance(trial, Trial)
    book.note(trial, 10, 0.5)
    assert not book.note(trial, 10, 0.6), "it was reported before"
    with (tmp_path / BOOK / REPORTS_FILE).open("a") as file:
        file.write("[0, 20, 0.")
    again = open_book(grid(), tmp_path)
    assert again.read_curve(again.trials[0]) == [(10, 0.5)]
    assert again.next().number == 0, "the trial that was interrupted comes first"
