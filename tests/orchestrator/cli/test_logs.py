"""`segshift logs`: which task is meant, what is printed, and when following ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import logs
from orchestrator.store import Store
from orchestrator.sweep_note import NoteWriter, make_note, name_note
from orchestrator.sweep_state import Status, SweepState

TEXT = "first\nsecond ✓\nthird"


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def tasks(make_task) -> dict[str, Any]:
    return {name: make_task(name, point={"seed": 0}) for name in ("clean", "noisy")}


@pytest.fixture
def state(tasks: dict[str, Any], make_graph) -> SweepState:
    return SweepState(make_graph(*tasks.values()), {task.key: Status.SUBMITTED for task in tasks.values()})


def write(results: Store, key: str, text: str = TEXT) -> None:
    file = results.log_file(key)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as log:
        log.write(text)


def test_a_task_is_meant_by_its_name_or_the_start_of_its_key(segshift, results: Store, tasks, state) -> None:
    results.write_note(name_note("byhand", "full"), make_note(state).model_dump_json())
    clean = tasks["clean"]
    write(results, clean.key)
    for wanted in ("clean[seed=0]", clean.key, clean.key[:6]):
        for place in ([], ["byhand"]):
            done = segshift("logs", wanted, *place)
            assert (done.code, done.out) == (0, TEXT), done.err


def test_records_tell_of_tasks_that_no_note_has(segshift, results: Store, tasks, make_record) -> None:
    clean = tasks["clean"]
    write(results, clean.key)
    results.commit(make_record(clean))
    for wanted in ("clean[seed=0]", clean.key[:6]):
        assert segshift("logs", wanted).out == TEXT


def test_an_experiment_file_tells_of_tasks_before_they_run(segshift, results: Store, tiny: Path) -> None:
    done = segshift("logs", "source_only[seed=0]", tiny)
    assert done.code == 2
    assert "has no log" in done.err


def test_a_task_that_failed_outside_any_sweep_is_found_by_its_whole_key(segshift, results: Store, tasks) -> None:
    write(results, tasks["clean"].key)
    assert segshift("logs", tasks["clean"].key).out == TEXT
    assert segshift("logs", tasks["clean"].key[:8]).code == 2


@pytest.mark.parametrize(("lines", "shown"), [("0", ""), ("1", "third"), ("2", "second ✓\nthird"), ("99", TEXT)])
def test_the_last_lines(lines: str, shown: str, segshift, results: Store, tasks) -> None:
    write(results, tasks["clean"].key)
    assert segshift("logs", tasks["clean"].key, "--lines", lines).out == shown


def test_no_task_or_several_are_told_apart(segshift, results: Store, tasks, state) -> None:
    note = make_note(state)
    results.write_note(name_note("byhand", "full"), note.model_dump_json())
    twin = note.model_copy(update={"experiment": "other", "tasks": {"f" * 32: note.tasks[tasks["clean"].key]}})
    results.write_note(name_note("other", "full"), twin.model_dump_json())
    none = segshift("logs", "sunny")
    assert (none.code, none.err.count("no task in the store")) == (2, 1)
    several = segshift("logs", "clean[seed=0]")
    assert several.code == 2
    assert "means 2 tasks" in several.err
    assert f"{'f' * 12} (clean[seed=0])" in several.err
    write(results, "f" * 32)
    assert segshift("logs", "clean[seed=0]", "other").out == TEXT
    assert segshift("logs", "clean[seed=0]", "--lines", "1", "other").out == "third", "after options too"


def test_a_number_of_lines_is_no_less_than_none(segshift) -> None:
    done = segshift("logs", "clean", "--lines", "-1")
    assert done.code == 2
    assert "0 or more" in done.err


def test_following_goes_on_while_the_lease_is_held_and_misses_nothing(
    segshift, results: Store, tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task writes and ends while it is followed: instead of the pauses. A letter comes in two halves."""
    key = tasks["clean"].key
    results.log_file(key).parent.mkdir(parents=True)
    held = results.working_on(key)
    held.__enter__()
    check, half = "✓".encode()[:1], "✓".encode()[1:]
    steps = [b"one\n" + check, half + b"\n", b""]

    def pause(seconds: float) -> None:
        with results.log_file(key).open("ab") as log:
            log.write(steps.pop(0))
        if not steps:
            with results.log_file(key).open("ab") as log:
                log.write(b"last")
            held.__exit__(None, None, None)

    monkeypatch.setattr(logs.time, "sleep", pause)
    monkeypatch.setattr(logs, "LOOK_EVERY_S", 0.0)
    results.log_file(key).touch()
    done = segshift("logs", key, "--follow")
    assert (done.code, done.out) == (0, "one\n✓\nlast")


def test_following_waits_for_a_task_that_a_living_driver_will_run(
    segshift, results: Store, tasks, state, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = tasks["clean"]
    with NoteWriter(results, state, {}, 1.0) as writer:
        assert segshift("logs", "clean[seed=0]").code == 2, "nothing yet"

        def pause(seconds: float) -> None:
            write(results, clean.key)
            state.status[clean.key] = Status.DONE
            writer._write(None)

        monkeypatch.setattr(logs.time, "sleep", pause)
        monkeypatch.setattr(logs, "LOOK_EVERY_S", 0.0)
        assert segshift("logs", "clean[seed=0]", "--follow").out == TEXT


def test_following_a_task_that_ended_prints_what_is_there(segshift, results: Store, tasks) -> None:
    write(results, tasks["clean"].key)
    assert segshift("logs", tasks["clean"].key, "-f").out == TEXT


def test_bytes_that_are_no_text_are_shown_somehow(segshift, results: Store, tasks) -> None:
    file = results.log_file(tasks["clean"].key)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a\xffb")
    assert segshift("logs", tasks["clean"].key).out == "a\N{REPLACEMENT CHARACTER}b"
