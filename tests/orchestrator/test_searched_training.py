"""A search of trainings on a real Ray: early stopping, what it leaves, and kill -9 in the midst of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from experiments.search import TRIALS_FILE
from orchestrator.reporter import Reporter
from orchestrator.store import Store
from tests.orchestrator import stub_search
from tests.orchestrator.stub_search import (
    INTERVAL,
    ITERATIONS,
    SAVED,
    build_population,
    build_search,
    list_iterations,
    list_made,
    score,
)

DEADLINE_S = 250
MARK = "SEGSHIFT_TEST_MARK"


def start(store: Path, mark: str, iteration_s: float, scheduler: str = "asha") -> subprocess.Popen[str]:
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(
        [sys.executable, stub_search.__file__, str(store), str(iteration_s), scheduler],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def kill_all(mark: str) -> None:
    """Kill every process that was started with the mark: Ray's have sessions of their own."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={mark}\0".encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


@contextlib.contextmanager
def pickled_by_value(module: ModuleType) -> Iterator[None]:
    """Have Ray's workers take what a module has without an import of it."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def read_trials(store: Store, key: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((store.folder(key) / TRIALS_FILE).read_text())
    return listed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
def test_a_killed_search_repeats_nothing_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(stub_search.__file__).parents[2]
    monkeypatch.chdir(root)
    place, task, mark = tmp_path / "store", build_search(), uuid.uuid4().hex
    store = Store(place)
    outcomes = store.scratch(task.key) / "trials"
    process = start(place, mark, 0.05)
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(list(outcomes.glob("*.json"))) < 3 or not any(outcomes.glob("*/work/resume")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the search makes no trials"
            time.sleep(0.1)
    finally:
        kill_all(mark)
        process.communicate()
    ended = {file.name: file.read_bytes() for file in outcomes.glob("*.json")}
    before = list_iterations(place)
    saved = {
        folder.parent.name: int((folder / "resume").read_text())
        for folder in outcomes.glob("*/work")
        if (folder / "resume").is_file()
    }
    assert not store.is_done(task.key)

    again = start(place, mark, 0.0)
    out, err = again.communicate(timeout=DEADLINE_S)
    assert again.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == {"complete": True, "messages": {}}
    trials, record, after = read_trials(store, task.key), store.read(task.key), list_iterations(place)

    assert len(trials) == 8
    assert len({trial["point"]["training.optimizer.lr"] for trial in trials}) == 8, "a point was suggested again"
    assert {trial["status"] for trial in trials} <= {"done", "pruned"}
    assert any(trial["status"] == "pruned" for trial in trials)
    kept = [json.loads(text) for text in ended.values()]
    for outcome in kept:
        lr = outcome["point"]["training.optimizer.lr"]
        assert after[lr] == before[lr], "a trial that had ended was made again"
        assert any(trial["point"] == outcome["point"] and trial["status"] == outcome["status"] for trial in trials)
    resumed = [lr for lr in before if lr not in {outcome["point"]["training.optimizer.lr"] for outcome in kept}]
    assert resumed
    assert saved
    for lr in resumed:
        made = after[lr]
        assert len(made) - len(set(made)) <= SAVED, "more was repeated than lies after the resume point"
    for trial in trials:
        lr, steps = trial["point"]["training.optimizer.lr"], [step for step, _ in trial["curve"]]
        assert steps == list(range(INTERVAL, max(after[lr]) + 1, INTERVAL))
        assert [value for _, value in trial["curve"]] == [score(lr, step) for step in steps]
        assert trial["score"] == score(lr, steps[-1])
        assert (max(after[lr]) == ITERATIONS) == (trial["status"] == "done")
    best = max((trial for trial in trials if trial["status"] == "done"), key=lambda trial: trial["score"])
    lr = best["point"]["training.optimizer.lr"]
    assert record.method is not None
    assert record.method["point"] == best["point"]
    assert record.method["stage"]["training"]["optimizer"]["lr"] == lr
    assert (store.folder(task.key) / "checkpoint.pth").read_text() == f"trained with {lr}"
    assert record.metrics["pruned_trials"] == sum(trial["status"] == "pruned" for trial in trials)
    assert sorted(record.files) == ["checkpoint.pth", TRIALS_FILE]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
def test_a_killed_population_goes_on_from_its_members_own_resume_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time on Ray, killed behind the first comparison: in the end it is the population that trains in turn."""
    from orchestrator.execute import Assignment, execute
    from orchestrator.stages import uda

    monkeypatch.chdir(Path(stub_search.__file__).parents[2])
    place, task, mark = tmp_path / "store", build_population(), uuid.uuid4().hex
    store, quiet = Store(place), Store(tmp_path / "quiet")
    heirs = store.scratch(task.key) / "trials"
    process = start(place, mark, 0.05, "pbt")
    deadline = time.monotonic() + DEADLINE_S
    try:
        while not any(heirs.glob("member-*/work/resume-*.pth")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "nobody takes over from another one"
            time.sleep(0.1)
    finally:
        kill_all(mark)
        process.communicate()
    assert not store.is_done(task.key)
    before = list_made(place)

    again = start(place, mark, 0.0, "pbt")
    out, err = again.communicate(timeout=DEADLINE_S)
    assert again.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == {"complete": True, "messages": {}}
    monkeypatch.setattr(uda, "run", stub_search.train_member)
    execute(Assignment(task, "byhand", "full", {}, {}), quiet, lambda step, values: None)
    trials, undisturbed = read_trials(store, task.key), read_trials(quiet, task.key)
    for trial in (*trials, *undisturbed):
        del trial["seconds"]
    assert trials == undisturbed
    assert [len(trial["curve"]) for trial in trials] == [ITERATIONS // INTERVAL] * 4
    assert sum(len(trial["history"]) for trial in trials) == 2
    made = list_made(place)
    assert set(made) == set(list_made(quiet.root)), "other iterations than those of the undisturbed one"
    assert len(made) - len(set(made)) <= 2 * SAVED, "more was repeated than lies after two resume points"
    assert made[: len(before)] == before


@pytest.mark.slow
def test_a_search_that_is_asked_to_stop_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the sweep is stopped, then the search's own process gets a SIGTERM; nothing fails and nothing is lost."""
    from orchestrator.cluster_session import open_cluster

    monkeypatch.chdir(Path(stub_search.__file__).parents[2])
    monkeypatch.setenv("STUB_ITERATION_S", "0.1")
    store, task = Store(tmp_path / "store"), build_search(trials=5, concurrent=2)
    outcomes = store.scratch(task.key) / "trials"
    done = 0  # trials that have to end before the next stop

    def has_come_on() -> bool:
        kept = len(list(outcomes.glob("*.json")))
        return kept > done and any(
            max(made) < ITERATIONS - 2 * INTERVAL for made in list_iterations(store.root).values() if len(made) > 1
        )

    def stop_sweep(state: Any) -> None:
        if not state.is_stopping and has_come_on():
            raise KeyboardInterrupt

    signalled: list[int] = []

    def stop_search(state: Any) -> None:
        if not signalled and has_come_on():
            signalled.append(int((store.root / "search-pid").read_text()))
            os.kill(signalled[0], signal.SIGTERM)

    def read_outcomes() -> dict[str, str]:
        return {file.name: json.loads(file.read_text())["status"] for file in outcomes.glob("*.json")}

    with pickled_by_value(stub_search), open_cluster(None, dashboard=False, cpus=2):
        with pytest.raises(KeyboardInterrupt):
            stub_search.sweep(store.root, task, on_change=stop_sweep)
        stopped, before = read_outcomes(), list_iterations(store.root)
        assert not store.is_done(task.key)
        assert store.read_failure(task.key) is None
        assert set(stopped.values()) == {"done"}
        assert len(before) > len(stopped), "a trial was stopped on its way"
        done = len(stopped)
        state = stub_search.sweep(store.root, task, on_change=stop_search)
    assert state.is_complete, state.messages
    assert signalled
    trials, after = read_trials(store, task.key), list_iterations(store.root)
    assert [trial["status"] for trial in trials] == ["done"] * 5
    assert sorted(after) == sorted(trial["point"]["training.optimizer.lr"] for trial in trials)
    for lr, made in before.items():
        if max(made) < ITERATIONS:  # it kept what it had done, and no signal reached it
            assert after[lr][: len(made) + 1] == list(range(1, len(made) + 2))
    for made in after.values():
        assert set(made) == set(range(1, ITERATIONS + 1))
        assert len(made) - ITERATIONS <= SAVED, "more was repeated than lies after the resume point"


def test_what_tune_stops_without_a_word_was_stopped_by_the_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune tells nobody of trials that it stops because their time is over: they are in the list all the same."""
    from ray import tune

    from orchestrator import reservation, search
    from orchestrator.stages.stage import StageContext
    from orchestrator.stages.trial_book import TrialBook

    task = build_search(hours=1)
    context = StageContext(tmp_path, tmp_path, {}, {}, {}, 1, 0, lambda step, values: None)
    book = TrialBook(task, context)

    class Tuner:
        def __init__(self, *given: Any, tune_config: Any, **named: Any) -> None:
            self.source = tune_config.search_alg
            assert tune_config.time_budget_s == pytest.approx(3600, abs=600)

        def fit(self) -> None:
            for name in "ab":
                self.source.suggest(name)
            book.note(book.trials[0], 10, 0.4)

    monkeypatch.setattr(tune, "Tuner", Tuner)
    monkeypatch.setattr(reservation, "free_resources", lambda scratch: None)
    ended: list[int] = []
    search.make_on_cluster(task, context, book, lambda: ended.append(1), Reporter(None, "", ""))
    outcomes = [book.find_outcome(trial) for trial in book.trials]
    assert [(outcome.status, outcome.score) for outcome in outcomes if outcome] == [("pruned", 0.4), ("pruned", None)]
    assert {outcome.reason for outcome in outcomes if outcome} == {"the hours of the search were over"}
    assert len(ended) == 2


def test_a_trial_that_was_to_be_stopped_when_the_search_died_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import tune

    from orchestrator import reservation, search
    from orchestrator.stages.stage import StageContext
    from orchestrator.stages.trial_book import TrialBook

    task = build_search(trials=2, scheduler={"name": "asha", "grace": INTERVAL, "reduction": 2})
    context = StageContext(tmp_path, tmp_path, {}, {}, {}, 1, 0, lambda step, values: None)
    book = TrialBook(task, context)
    good, bad = book.next(), book.next()
    book.note(good, INTERVAL, 0.9)
    book.note(bad, INTERVAL, 0.1)  # below the better half of its rung; here the process died
    given: list[Any] = []

    class Tuner:
        def __init__(self, *given: Any, tune_config: Any, **named: Any) -> None:
            self.source = tune_config.search_alg

        def fit(self) -> None:
            given.extend(self.source.suggest(name) for name in "ab")
            again.trials[0].keep("done", 1.0, score=0.9)

    monkeypatch.setattr(tune, "Tuner", Tuner)
    monkeypatch.setattr(reservation, "free_resources", lambda scratch: None)
    again = TrialBook(task, context)
    search.make_on_cluster(task, context, again, lambda: None, Reporter(None, "", ""))
    assert given[0]["trial"] == good.number
    assert given[1] == "FINISHED"
    outcome = again.find_outcome(again.trials[1])
    assert outcome is not None
    assert (outcome.status, outcome.score) == ("pruned", 0.1)
    assert outcome.reason == f"asha stopped it at iteration {INTERVAL}"
