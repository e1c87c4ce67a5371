"""What a leaderboard finds in a store: records, why others are missing, and files whose bytes are the recorded ones."""

from __future__ import annotations

import json

from orchestrator.leaderboard.source import StoreSource
from orchestrator.store import Store


def test_a_store_gives_its_records_and_intact_files(make_task, make_record, store: Store) -> None:
    task, other = make_task("clean"), make_task("clean", limit=1)
    store.folder(task.key).mkdir(parents=True)
    (store.folder(task.key) / "kept.txt").write_text("kept")
    record = make_record(task, {"clean": ({}, ((3, 1), (1, 3)))}, files=store.list_files(task.key))
    store.commit(record)
    source = StoreSource(store, {task.key, other.key})
    assert source.find_record(task.key) == record
    assert source.find_record(other.key) is None
    assert source.explain_missing(other.key) is None
    file = source.find_file(task.key, "kept.txt")
    assert file is not None
    assert file.read_text() == "kept"
    assert source.find_file(task.key, "never.txt") is None
    assert source.find_file(other.key, "kept.txt") is None
    file.write_text("edited")
    assert source.find_file(task.key, "kept.txt") is None


def test_a_record_that_was_edited_is_no_result_and_is_named(make_task, make_record, store: Store) -> None:
    task = make_task("clean")
    store.folder(task.key).mkdir(parents=True)
    store.commit(make_record(task, {"clean": ({}, ((3, 1), (1, 3)))}))
    file = store.folder(task.key) / "record.json"
    raw = json.loads(file.read_text())
    raw["cells"][0]["confusion"] = [[4, 0], [0, 4]]
    file.write_text(json.dumps(raw))
    source = StoreSource(store, {task.key})
    assert source.find_record(task.key) is None
    reason = source.explain_missing(task.key)
    assert reason is not None
    assert str(file) in reason
    assert "changed after it was written" in reason


def test_a_failure_is_said_in_a_line(make_task, make_record, store: Store) -> None:
    task = make_task("clean")
    store.write_failure(make_record(task, failure="no memory\nand more"))
    assert StoreSource(store, {task.key}).explain_missing(task.key) == "failed with ValueError: no memory"
