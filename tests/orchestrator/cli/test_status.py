"""`segshift status` over stores made by hand: notes, no notes, watching, and what programs read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.facts import WorkspaceFacts
from experiments.graph import expand
from experiments.load import load_experiment
from experiments.workspace import Workspace
from orchestrator.cli import status as command
from orchestrator.store import Store
from orchestrator.sweep_note import NoteWriter, SweepNote, make_note, name_note
from orchestrator.sweep_state import Status, SweepState

DOCS = Path(__file__).parents[3] / "docs" / "monitoring.md"


@pytest.fixture
def results(tmp_path: Path) -> Store:
    """The store that the command line reads."""
    return Store(tmp_path / "store")


@pytest.fixture
def state(make_task, make_graph) -> SweepState:
    tasks = [make_task(name, point={"seed": 0}) for name in ("first", "busy", "bad")]
    status = dict(zip((t.key for t in tasks), (Status.DONE, Status.SUBMITTED, Status.FAILED), strict=True))
    live = {tasks[1].key: {"step": 5, "progress": 0.5}}
    return SweepState(make_graph(*tasks), status, {tasks[0].key: 2.0}, {tasks[2].key: "no luck"}, live)


def test_a_sweep_that_runs_is_told_without_its_experiment_file(segshift, results: Store, state: SweepState) -> None:
    with NoteWriter(results, state, {}, 1.0):
        done = segshift("status", "byhand")
    assert done.code == 1, "a task failed"
    assert re.search(r"runs on .* \(process \d+\)", done.out)
    assert "1/3 done (0 cached) · 1 running · 1 failed" in done.out
    assert "failed  bad[seed=0]: no luck" in done.out
    state.status = dict.fromkeys(state.status, Status.DONE)
    with NoteWriter(results, state, {}, 1.0):
        assert segshift("status", "byhand").code == 0


def test_profiles_and_overrides_choose_the_sweep(segshift, results: Store, state: SweepState) -> None:
    def leave(variant: str, at: str) -> None:
        note = make_note(state).model_copy(update={"variant": variant, "updated_at": at, "title": f"of {variant}"})
        results.write_note(name_note("byhand", variant), note.model_dump_json())

    leave("mini+abc123", "2026-01-03T00:00:00+00:00")
    leave("mini", "2026-01-01T00:00:00+00:00")
    leave("full", "2026-01-02T00:00:00+00:00")
    results.write_note("sweeps/byhand-other-full.json", make_note(state).model_dump_json())  # its experiment is byhand
    for arguments, told in (
        (["--profile", "full"], "of full"),
        (["--profile", "mini"], "of mini+abc123"),  # written last
    ):
        assert told in segshift("status", "byhand", *arguments).out


def test_overrides_mean_the_sweep_with_those_overrides(segshift, results: Store, tiny: Path) -> None:
    plain = expand_tiny(tiny)
    other = expand_tiny(tiny, "matrix.seed=[1]")
    for graph, title in ((plain, "the plain one"), (other, "the other one")):
        note = make_note(SweepState(graph, dict.fromkeys(graph.tasks, Status.DONE)))
        results.write_note(
            name_note(graph.name, graph.variant), note.model_copy(update={"title": title}).model_dump_json()
        )
    assert "the other one" in segshift("status", tiny, "matrix.seed=[1]").out
    assert "the other one" not in segshift("status", tiny, "matrix.seed=[2]").out, "which nobody ran"


def expand_tiny(tiny: Path, *overrides: str) -> Any:
    loaded = load_experiment(str(tiny), "full", overrides)
    return expand(loaded, WorkspaceFacts(loaded, Workspace()))


def test_without_a_note_records_and_leases_tell(segshift, tiny: Path) -> None:
    done = segshift("status", tiny)
    assert done.code == 0
    assert "0/8 done (0 cached) · 8 waiting" in done.out
    assert len(re.findall(r"^waiting  ", done.out, re.M)) == 8
    report = json.loads(segshift("status", tiny, "--json").out)
    assert (report["state"], report["driver"], report["counts"]["waiting"]) == ("unknown", None, 8)


def test_json_is_one_object_with_what_the_docs_say(segshift, results: Store, state: SweepState) -> None:
    with NoteWriter(results, state, {}, 1.0, "http://ray", None, {"CPU": 2.0}):
        done = segshift("status", "byhand", "--json")
    report = json.loads(done.out)
    assert done.code == 1
    assert (report["schema_version"], report["state"], report["experiment"]) == (1, "running", "byhand")
    assert report["counts"] == {"cached": 0, "done": 1, "running": 1, "waiting": 0, "failed": 1, "skipped": 0}
    assert report["driver"]["dashboard_url"] == "http://ray"
    tasks = {task["name"]: task for task in report["tasks"].values()}
    assert tasks["busy[seed=0]"]["live"] == {"step": 5.0, "progress": 0.5}
    assert tasks["bad[seed=0]"]["message"] == "no luck"
    described = set(re.findall(r"^\| `(\w+)`", DOCS.read_text(encoding="utf-8"), re.M))
    assert {*report, *report["driver"], *tasks["busy[seed=0]"]} <= described


def test_the_store_as_a_whole(segshift, results: Store, state: SweepState, make_record) -> None:
    assert "holds no finished task yet" in segshift("status").out
    task = next(iter(state.graph.tasks.values()))
    results.folder(task.key).mkdir(parents=True)
    results.commit(make_record(task, stage="clean", seconds=2.0))
    with NoteWriter(results, state, {}, 1.0):
        text = segshift("status").out
        report = json.loads(segshift("status", "--json").out)
    assert re.search(r"byhand +full +running +just now +1/3 done", text)
    assert re.search(r"byhand +full +clean +1 +2 s", text)
    assert [(s["experiment"], s["state"], "tasks" in s) for s in report["sweeps"]] == [("byhand", "running", False)]
    assert report["finished"] == [
        {"experiment": "byhand", "profile": "full", "stage": "clean", "tasks": 1, "seconds": 2.0}
    ]


def test_watching_ends_with_the_sweep_and_tells_each_failure_once(
    segshift, results: Store, state: SweepState, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep ends while it is watched: at the third look, instead of a pause."""
    writer = NoteWriter(results, state, {}, 1.0)
    writer.__enter__()
    looks = 0

    def pause(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            state.status = {k: Status.DONE if s is Status.SUBMITTED else s for k, s in state.status.items()}
            for key in (key for key, status in state.status.items() if status is Status.DONE):
                results.folder(key).mkdir(parents=True)
                results.commit(make_record(state.graph.tasks[key]))
            writer.__exit__(None, None, None)

    monkeypatch.setattr(command.time, "sleep", pause)
    done = segshift("status", "byhand", "--watch")
    assert (done.code, looks) == (1, 3)
    assert done.out.count("busy[seed=0] 50%") == 1, "a line now and then"
    assert done.out.count("failed bad[seed=0]: no luck\n") == 1
    assert "2/3 done (0 cached) · 1 failed" in done.out


def test_watching_waits_for_a_sweep_that_has_not_begun(
    segshift, results: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = expand_tiny(tiny)
    note = make_note(SweepState(graph, dict.fromkeys(graph.tasks, Status.WAITING)), ended="stopped")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            results.write_note(name_note(graph.name, graph.variant), note.model_dump_json())

    monkeypatch.setattr(command.time, "sleep", pause)
    done = segshift("status", tiny, "--watch", "--profile", "full")
    assert (done.code, len(pauses)) == (0, 2)
    assert "8 waiting" in done.out


def test_watching_ends_at_once_where_nothing_runs(segshift, results: Store, state: SweepState) -> None:
    results.write_note(name_note("byhand", "full"), make_note(state, ended="failed").model_dump_json())
    done = segshift("status", "byhand", "--watch")
    assert done.code == 1
    assert segshift("status", "--watch").code == 0


def test_watch_and_json_exclude_each_other(segshift) -> None:
    done = segshift("status", "--watch", "--json")
    assert done.code == 2
    assert "not allowed with" in done.err


def test_a_note_of_a_newer_segshift_is_refused(segshift, results: Store) -> None:
    results.write_note(name_note("byhand", "full"), '{"schema_version": 9}')
    done = segshift("status", "byhand")
    assert done.code == 2
    assert "schema 9" in done.err


def test_ten_thousand_tasks_are_counted_and_not_listed(segshift, results: Store) -> None:
    tasks = {
        f"{n:032x}": {"name": f"t[n={n}]", "stage": f"s{n % 3}", "kind": "evaluate", "status": "done"}
        for n in range(10_000)
    }
    note = SweepNote(
        schema_version=1, experiment="big", variant="full", title="?", updated_at="2026-01-01T00:00:00+00:00",
        ended="complete", tasks=tasks,
    )  # fmt: skip
    results.write_note(name_note("big", "full"), note.model_dump_json())
    done = segshift("status", "big")
    assert "0/10000 done (0 cached) · 10000 waiting" in done.out, "no record is there"
    assert len(done.out.splitlines()) < 20
