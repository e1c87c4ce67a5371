"""A store in a bucket: the bucket holds the truth, this machine copies of it that are checked and can go at any time."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError, TaskError
from orchestrator.bucket import Bucket
from orchestrator.record import Record
from orchestrator.store import Store, open_store

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of "abc", FIPS 180-2 appendix B.1


def fill(store: Store, key: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = store.folder(key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(store: Store, make_record, task, files: dict[str, str], **fields: object) -> Record:
    with store.working_on(task.key) as ours:
        assert ours
        fill(store, task.key, files)
        record = make_record(task, files=store.list_files(task.key), **fields)
        store.commit(record)
    return record


def list_names(uri: str, *folders: str) -> list[str]:
    return sorted(stamp.name for folder in folders for stamp in Bucket(uri).list(folder))


def test_a_commit_leaves_record_files_and_log_and_nothing_else(bucket_uri: str, make_task, make_record) -> None:
    store, task = Store(bucket_uri), make_task("clean")
    store.write_failure(make_record(task, failure="no luck"))
    assert store.read_failure(task.key) is not None
    files = {"checkpoint.pth": "abc", "pictures/a.png": "png", "work/iter_2.pth": "x", "log.txt": "printed\n"}
    commit(store, make_record, task, files)
    names = [name.replace(task.key, "K") for name in list_names(bucket_uri, "records", "tasks", "failures", "leases")]
    png = hashlib.sha256(b"png").hexdigest()[:12]
    assert names == sorted(["records/K.json", f"tasks/K/{ABC[:12]}/checkpoint.pth", f"tasks/K/{png}/pictures/a.png"])
    assert list_names(bucket_uri, "work") == []
    assert len(list_names(bucket_uri, "logs")) == 1
    assert not store.scratch(task.key).exists()
    assert not store.is_held(task.key)


def test_another_machine_reads_all_of_it(bucket_uri: str, make_task, make_record, tmp_path: Path) -> None:
    task = make_task("clean")
    record = commit(
        Store(bucket_uri), make_record, task, {"checkpoint.pth": "abc", "pictures/a.png": "p", "log.txt": "l"}
    )
    shutil.rmtree(tmp_path / "local")
    store = open_store(bucket_uri)
    assert store.list_done() == {task.key}
    assert store.is_done(task.key)
    assert store.read(task.key) == record
    assert store.verified_file(task.key, "checkpoint.pth").read_text() == "abc"
    assert [path.read_text() for path in store.fetch_pictures(record)] == ["p"]
    log = store.find_log(task.key)
    assert log is not None
    assert log.read_text() == "l"
    assert not store.is_done("f" * 32)
    with pytest.raises(PrerequisiteError, match="holds no record of the task ffff"):
        store.read("f" * 32)


def test_records_are_fetched_many_at_once_and_kept(
    bucket_uri: str, make_task, make_record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [make_task("clean", fingerprint=str(index)) for index in range(5)]
    for task in tasks:
        commit(Store(bucket_uri), make_record, task, {"a.txt": "a"})
    shutil.rmtree(tmp_path / "local")
    store = Store(bucket_uri)
    store.fetch_records([task.key for task in tasks] + ["f" * 32])
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "read", lambda *arguments: pytest.fail("asked the bucket again"))
        assert {store.read(task.key).key for task in tasks} == {task.key for task in tasks}
        again = Store(bucket_uri)
        again.fetch_records(task.key for task in tasks)
        assert again.read(tasks[0].key).key == tasks[0].key


def test_a_record_that_was_made_anew_replaces_the_copy(bucket_uri: str, make_task, make_record) -> None:
    task = make_task("clean")
    commit(Store(bucket_uri), make_record, task, {})
    assert Store(bucket_uri).read(task.key).seconds == 1.5
    assert Store(bucket_uri).remove(task.key)
    commit(Store(bucket_uri), make_record, task, {}, seconds=2.5)
    assert Store(bucket_uri).read(task.key).seconds == 2.5


def test_what_was_made_anew_since_it_was_listed_is_no_leftover(bucket_uri: str, make_task, make_record) -> None:
    """Another process removes the task and makes it again, between the question of gc and the answer, with other files."""
    task, cleaner, other = make_task("clean"), Store(bucket_uri), Store(bucket_uri)
    commit(other, make_record, task, {"checkpoint.pth": "abd"})
    stray = f"tasks/{task.key}/{'0' * 12}/checkpoint.pth"
    Bucket(bucket_uri).write(stray, b"of a process that lost its lease")
    assert [one.key for one in cleaner.list_leftovers()] == [task.key]
    assert other.remove(task.key)
    record = commit(other, make_record, task, {"checkpoint.pth": "abc"})
    Bucket(bucket_uri).write(stray, b"of a process that lost its lease")
    assert cleaner.remove_leftovers(task.key)
    assert list_names(bucket_uri, "tasks") == [f"tasks/{task.key}/{ABC[:12]}/checkpoint.pth"]
    assert Store(bucket_uri).read(task.key) == record


def test_a_damaged_copy_is_fetched_anew(bucket_uri: str, make_task, make_record) -> None:
    store, task = Store(bucket_uri), make_task("clean")
    record = commit(store, make_record, task, {"checkpoint.pth": "abc"})
    (store.folder(task.key) / "checkpoint.pth").write_text("abd")
    assert store.verified_file(task.key, "checkpoint.pth").read_text() == "abc"
    assert store.read(task.key) == record
    (copy,) = (store.root / "records").glob("*.json")
    copy.write_text(copy.read_text()[:50])
    assert Store(bucket_uri).read(task.key) == record


@pytest.mark.parametrize("damage", ["other bytes", "cut short", "gone"])
def test_a_file_that_is_damaged_in_the_bucket_is_an_error_with_its_remedy(
    bucket_uri: str, make_task, make_record, damage: str, tmp_path: Path
) -> None:
    task = make_task("clean")
    commit(Store(bucket_uri), make_record, task, {"checkpoint.pth": "abc"})
    (name,) = list_names(bucket_uri, "tasks")
    if damage == "gone":
        Bucket(bucket_uri).delete([name])
    else:
        Bucket(bucket_uri).write(name, {"other bytes": b"abd", "cut short": b"a"}[damage])
    shutil.rmtree(tmp_path / "local")
    remedy = f"segshift store rm {task.key[:12]} --store {bucket_uri}"
    with pytest.raises(TaskError, match=f"checkpoint.pth of the task {task.key} in {bucket_uri}: .*{remedy}"):
        Store(bucket_uri).verified_file(task.key, "checkpoint.pth")
    assert not list((tmp_path / "local").rglob("*checkpoint*")), "bytes that are not those recorded were kept"
    assert Store(bucket_uri).check_file(task.key, "checkpoint.pth") is not None


def test_a_record_that_is_damaged_in_the_bucket_is_an_error_with_its_remedy(bucket_uri: str) -> None:
    Bucket(bucket_uri).write("records/abcdef.json", b'{"schema_version": 1, "key":')
    store = Store(bucket_uri)
    assert store.is_done("abcdef")
    with pytest.raises(
        PrerequisiteError, match=r"records/abcdef\.json is a record that cannot be used.*store rm abcdef"
    ):
        store.read("abcdef")


def test_a_process_that_was_overtaken_changes_nothing(bucket_uri: str, make_task, make_record) -> None:
    """Its lease went to another, which has committed: neither its record nor its files take the other's place."""
    task, slow, quick = make_task("clean"), Store(bucket_uri), Store(bucket_uri)
    with slow.working_on(task.key):
        fill(slow, task.key, {"checkpoint.pth": "of the slow one", "work/resume.pth": "old"})
        late = make_record(task, files=slow.list_files(task.key), seconds=9.0)
        Bucket(bucket_uri).delete([f"leases/{task.key}.json"])  # as a thief that waited long enough does
        fill(quick, task.key, {"checkpoint.pth": "abc"})
        record = make_record(task, files=quick.list_files(task.key))
        quick.commit(record)
        fill(slow, task.key, {"checkpoint.pth": "of the slow one"})
        with pytest.raises(TaskError, match="another took the task over"):
            slow.commit(late)
        slow._leases.clear()  # even if it does not notice
        with pytest.raises(TaskError, match="another took the task over"):
            slow.commit(late)
    shutil.rmtree(slow.root)
    assert Store(bucket_uri).read(task.key) == record
    assert Store(bucket_uri).verified_file(task.key, "checkpoint.pth").read_text() == "abc"
    assert list_names(bucket_uri, "work") == [], "what it would go on from was sent after the commit of another"


def test_what_an_interrupted_task_left_is_there_for_another_machine(bucket_uri: str, tmp_path: Path) -> None:
    def be_interrupted() -> None:
        with Store(bucket_uri).working_on("k"):
            fill(Store(bucket_uri), "k", {"work/resume.pth": "iteration 100", "log.txt": "first\n"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    shutil.rmtree(tmp_path / "local")
    store = Store(bucket_uri)
    with store.working_on("k") as ours:
        assert ours
        assert (store.scratch("k") / "resume.pth").read_text() == "iteration 100"


def test_the_logs_of_all_machines_are_read_as_one(
    bucket_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Store(bucket_uri).find_log("k") is None
    for machine in ("one", "two"):
        monkeypatch.setenv("SEGSHIFT_LOCAL", str(tmp_path / machine))
        store = Store(bucket_uri)
        with store.working_on("k"):
            fill(store, "k", {"log.txt": f"printed on machine {machine}\n"})
    monkeypatch.setenv("SEGSHIFT_LOCAL", str(tmp_path / "three"))
    log = Store(bucket_uri).find_log("k")
    assert log is not None
    assert sorted(log.read_text().splitlines()) == ["printed on machine one", "printed on machine two"]


def test_shared_files_are_notes_of_their_name(bucket_uri: str) -> None:
    store = Store(bucket_uri)
    file = store.root / "leaderboards" / "tiny" / "leaderboard.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    store.share(file)
    assert store.list_notes("leaderboards") == ["leaderboards/tiny/leaderboard.json"]
    assert store.read_note("leaderboards/tiny/leaderboard.json") == "{}"


def test_a_store_travels_to_workers_as_its_uri(
    bucket_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds the working place of the machine that it comes to."""
    text = pickle.dumps(Store(bucket_uri))
    monkeypatch.setenv("SEGSHIFT_LOCAL", str(tmp_path / "elsewhere"))
    there = pickle.loads(text)
    assert there.place == bucket_uri
    assert there.root.parent == tmp_path / "elsewhere"


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_a_service_that_ignores_conditions_is_refused(
    bucket_uri: str, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def ignore(self: Bucket, where: object, content: bytes) -> bool:
        self.write(getattr(where, "name", where), content)
        return True

    Store(bucket_uri).check_writable()
    monkeypatch.setattr(Bucket, verb, ignore)
    with pytest.raises(PrerequisiteError, match="does not honour conditional writes"):
        Store(bucket_uri).check_writable()
    assert not [name for name in list_names(bucket_uri, "") if "probe" in name]


def test_a_bucket_that_cannot_be_used_is_refused_before_the_start(bucket_uri: str) -> None:
    open_store(bucket_uri).check_writable()
    assert Bucket(bucket_uri).look("segshift-store.json") is not None
    for look in (lambda: open_store("s3://no-such-bucket"), lambda: Store("s3://no-such-bucket").check_writable()):
        with pytest.raises(PrerequisiteError, match="there is no such bucket"):
            look()
