"""The store: the record is the commit mark, writes are whole or absent, damage is noticed, a bad store refused early."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError, TaskError
from orchestrator.record import StoredFile
from orchestrator.store import SCHEMA_VERSION, Store, open_store

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of "abc", FIPS 180-2 appendix B.1


def fill(store: Store, key: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = store.folder(key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_only_a_record_makes_a_task_done(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    assert store.list_done() == set()
    fill(store, task.key, {"checkpoint.pth": "abc", "failure.json": "{}", "lease.json": "{}"})
    assert not store.is_done(task.key)
    assert store.list_done() == set()
    store.commit(make_record(task))
    assert store.is_done(task.key)
    assert store.list_done() == {task.key}
    assert store.read(task.key) == make_record(task)


def test_a_commit_takes_scratch_and_old_failure_away(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    store.write_failure(make_record(task, failure="no luck"))
    failure = store.read_failure(task.key)
    assert failure is not None
    assert failure.failure is not None
    assert failure.failure.message == "no luck"
    fill(store, task.key, {"work/iter_2.pth": "x", "kept.txt": "abc"})
    store.commit(make_record(task))
    assert store.read_failure(task.key) is None
    assert sorted(os.listdir(store.folder(task.key))) == ["kept.txt", "record.json"]


def test_the_record_is_the_last_thing_written(
    store: Store, make_task, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment the commit mark appears, everything else is there; scratch goes only afterwards."""
    task = make_task("clean")
    fill(store, task.key, {"work/iter_2.pth": "x"})
    seen: list[bool] = []
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **k: (seen.append(store.is_done(task.key)), remove(path, **k)))
    store.commit(make_record(task))
    assert seen == [True]


def test_files_are_listed_with_hash_and_size_and_without_the_stores_own(store: Store) -> None:
    fill(
        store,
        "k",
        {
            "checkpoint.pth": "abc",
            "pictures/a.txt": "",
            "work/iter_2.pth": "x",
            "lease.json": "{}",
            "failure.json": "{}",
            # what a waiting process or a crash between write and rename may leave for a moment or for good
            ".lease.json.0a1b": "{}",
            ".record.json.0a1b": "{",
        },
    )
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert store.list_files("k") == {
        "checkpoint.pth": StoredFile(sha256=ABC, size_bytes=3),
        "pictures/a.txt": StoredFile(sha256=empty, size_bytes=0),
    }


def test_changed_or_lost_bytes_are_noticed_and_the_remedy_named(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    fill(store, task.key, {"checkpoint.pth": "abc"})
    store.commit(make_record(task, files={"checkpoint.pth": StoredFile(sha256=ABC, size_bytes=3)}))
    path = store.folder(task.key) / "checkpoint.pth"
    assert store.verified_file(task.key, "checkpoint.pth") == path
    path.write_text("abd")
    with pytest.raises(TaskError, match=rf"Remove the folder {store.folder(task.key)} and run the same command again"):
        store.verified_file(task.key, "checkpoint.pth")
    path.unlink()
    with pytest.raises(TaskError, match="missing or its bytes are not those"):
        store.verified_file(task.key, "checkpoint.pth")
    path.write_text("abc")
    with pytest.raises(TaskError):
        store.verified_file(task.key, "never_recorded.txt")


def test_a_writable_store_is_accepted_and_says_what_it_is(store: Store) -> None:
    store.check_writable()
    assert "segshift" in (store.root / "segshift-store.txt").read_text()


def test_a_store_that_cannot_be_written_is_refused_with_a_remedy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PrerequisiteError, match=r"cannot be written \(Permission denied\)\. Give another .*--store"):
        store.check_writable()


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PrerequisiteError, match="--store or SEGSHIFT_STORE"):
        Store(tmp_path / "file").check_writable()


def test_a_full_disk_is_refused_before_the_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 2**40 - 2**20, 2**20))
    with pytest.raises(
        PrerequisiteError, match=r"has 1 MiB left, and a sweep needs at least 200\. Free some, or .*--store"
    ):
        store.check_writable()


def test_a_truncated_record_counts_as_there_but_cannot_be_read(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    fill(store, task.key, {"checkpoint.pth": "abc"})
    store.commit(make_record(task))
    file = store.folder(task.key) / "record.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(PrerequisiteError, match="Remove its folder to have the task run again"):
        store.read(task.key)


def test_the_lease_is_held_while_working_and_gone_after(store: Store) -> None:
    with store.working_on("k") as ours:
        assert ours
        assert json.loads((store.folder("k") / "lease.json").read_text())["pid"] == os.getpid()
        assert store.is_held("k")
    assert not store.is_held("k")
    assert list(store.folder("k").iterdir()) == []


def test_a_store_travels_to_workers_as_its_folder(store: Store) -> None:
    assert pickle.loads(pickle.dumps(store)).root == store.root


@pytest.mark.parametrize("name", ["costs.json", "sweeps/tiny-full.json"])
def test_notes_are_kept_and_listed(any_store: Store, name: str) -> None:
    assert any_store.read_note(name) is None
    any_store.write_note(name, "{}")
    any_store.write_note(name, '{"a": "\u00e9"}')
    assert any_store.read_note(name) == '{"a": "\u00e9"}'
    assert any_store.list_notes("sweeps") == ([name] if name.startswith("sweeps") else [])
    assert any_store.list_notes("nothing") == []


def test_a_commit_never_takes_the_place_of_another(any_store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    with any_store.working_on(task.key):
        any_store.commit(make_record(task))
        with pytest.raises(TaskError, match="another took the task over"):
            any_store.commit(make_record(task, seconds=9.0))
    assert any_store.read(task.key).seconds == 1.5


def test_who_comes_after_the_commit_is_not_asked_to_work(any_store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    with any_store.working_on(task.key) as ours:
        assert ours
        assert any_store.is_held(task.key)
        any_store.commit(make_record(task))
    with Store(any_store.place).working_on(task.key) as ours:
        assert not ours
    assert not any_store.is_held(task.key)


def test_a_removed_task_is_gone_and_made_anew(any_store: Store, make_task, make_record) -> None:
    task, other = make_task("clean"), make_task("other")
    for one in (task, other):
        with any_store.working_on(one.key):
            fill(any_store, one.key, {"checkpoint.pth": "abc", "log.txt": "printed"})
            any_store.commit(make_record(one, files=any_store.list_files(one.key)))
    assert any_store.remove(task.key)
    assert any_store.list_done() == {other.key}
    assert not any_store.folder(task.key).exists()
    assert any_store.list_leftovers() == []
    assert any_store.verified_file(other.key, "checkpoint.pth").read_text() == "abc"
    with any_store.working_on(task.key) as ours:
        assert ours
        any_store.folder(task.key).mkdir(exist_ok=True, parents=True)
        any_store.commit(make_record(task))
    assert any_store.list_done() == {task.key, other.key}


def test_what_is_being_worked_on_is_not_removed(any_store: Store) -> None:
    with any_store.working_on("k"):
        fill(any_store, "k", {"work/resume.pth": "x"})
        assert not any_store.remove("k")
        assert not any_store.remove_leftovers("k")
        assert (any_store.scratch("k") / "resume.pth").exists()
    assert any_store.remove_leftovers("k")
    assert any_store.list_leftovers() == []
    assert not any_store.folder("k").exists()


def test_leftovers_are_what_no_record_names(any_store: Store, make_task, make_record) -> None:
    failed, done = make_task("failed"), make_task("done")
    with any_store.working_on(failed.key):
        fill(any_store, failed.key, {"work/resume.pth": "12345"})
        any_store.write_failure(make_record(failed, failure="no luck"))
    with any_store.working_on(done.key):
        any_store.folder(done.key).mkdir(exist_ok=True, parents=True)
        any_store.commit(make_record(done))
    assert any_store.list_failed() == {failed.key}
    found = {one.key: one for one in any_store.list_leftovers()}
    assert set(found) == {failed.key}
    assert found[failed.key].size_bytes > 5
    assert -60 < found[failed.key].age_s < 600


def test_the_lease_of_a_process_that_died_is_listed(store: Store) -> None:
    with store.working_on("alive"):
        fill(store, "dead", {"lease.json": '{"host": "elsewhere"}'})
        os.utime(store.folder("dead") / "lease.json", (0, 0))
        assert store.list_abandoned() == {"dead"}
        assert store.list_held() == {"alive"}


def test_a_store_says_its_layout_and_an_older_one_is_taken_for_the_first(any_store: Store) -> None:
    assert open_store(any_store.place).list_done() == set(), "a store that is not there yet"
    any_store.check_writable()
    any_store.check_writable()
    assert open_store(any_store.place).list_done() == set()


@pytest.mark.parametrize(
    ("text", "version"),
    [('{"schema_version": 7}', "7"), ("{", "unknown"), ('{"schema_version": "1"}', "unknown"), ("[]", "unknown")],
)
def test_a_store_of_a_newer_layout_is_refused(any_store: Store, text: str, version: str) -> None:
    any_store.check_writable()
    any_store._backend.write_schema(text)
    pattern = rf"has the layout version {version}, and this segshift knows version {SCHEMA_VERSION}\. Install a newer"
    with pytest.raises(PrerequisiteError, match=pattern):
        open_store(any_store.place)
    with pytest.raises(PrerequisiteError, match=pattern):
        any_store.check_writable()


def test_a_truncated_checkpoint_is_not_given_out(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    fill(store, task.key, {"checkpoint.pth": "abc"})
    store.commit(make_record(task, files=store.list_files(task.key)))
    (store.folder(task.key) / "checkpoint.pth").write_text("ab")
    with pytest.raises(TaskError, match=rf"Remove the folder {store.folder(task.key)} and run the same command again"):
        store.verified_file(task.key, "checkpoint.pth")


def test_notes_of_a_folder_are_listed_without_drafts(store: Store) -> None:
    assert store.list_notes("sweeps") == []
    for name in ("sweeps/b-full.json", "sweeps/a-mini+0f.json", "costs.json"):
        store.write_note(name, "{}")
    (store.root / "sweeps" / ".b-full.json.x.partial").touch()
    assert store.list_notes("sweeps") == ["sweeps/a-mini+0f.json", "sweeps/b-full.json"]
    assert store.list_notes("costs.json") == []
