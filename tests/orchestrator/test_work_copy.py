"""What an interrupted task goes on from travels to the machine that takes it over, whole, and only what changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from orchestrator import work_copy
from orchestrator.bucket import Bucket
from orchestrator.store import Store


class Held:
    """A lease that is ours, or lost."""

    poll_s = 0.0

    def __init__(self, lost: bool = False) -> None:
        self.lost = lost

    def try_acquire(self) -> bool:
        return True

    def beat(self) -> None:
        pass

    def release(self) -> None:
        pass

    def is_lost(self) -> bool:
        return self.lost

    def is_held(self) -> bool:
        return True


@pytest.fixture
def bucket(bucket_uri: str) -> Bucket:
    return Bucket(bucket_uri)


def make_copy(bucket: Bucket, folder: Path) -> work_copy.WorkCopy:
    return work_copy.WorkCopy(bucket, "work/k", folder, ("log.txt",), (folder / "log.txt", "logs/k/here.txt"))


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_pth", ".pth")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def list_texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != work_copy.MARK)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_another_machine_gets_what_this_one_left(bucket: Bucket, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, work__resume_pth="iteration 100", pictures__a_pth="a picture")
    make_copy(bucket, one).save(Held())
    fill(two, work__resume_pth="iteration 40, of an attempt before", work__old="x")
    make_copy(bucket, two).fetch()
    assert list_texts(two) == {"work/resume.pth": "iteration 100", "pictures/a.pth": "a picture"}


def test_what_this_machine_left_last_is_kept(bucket: Bucket, tmp_path: Path) -> None:
    """It may have gone on after the last time that it was sent."""
    fill(tmp_path, work__resume_pth="iteration 100")
    make_copy(bucket, tmp_path).save(Held())
    fill(tmp_path, work__resume_pth="iteration 200")
    make_copy(bucket, tmp_path).fetch()
    assert list_texts(tmp_path) == {"work/resume.pth": "iteration 200"}


def test_only_what_changed_is_sent_and_nothing_old_stays(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, work__resume_pth="1", work__labels__a="aaa", work__labels__b="bbb")
    copy = make_copy(bucket, tmp_path)
    copy.save(Held())
    sent: list[str] = []
    write = Bucket.write
    monkeypatch.setattr(Bucket, "write", lambda self, name, content: (sent.append(name), write(self, name, content)))
    copy.save(Held())
    assert sent == []
    fill(tmp_path, work__resume_pth="22")
    (tmp_path / "work/labels/b").unlink()
    copy.save(Held())
    assert [name.rpartition("/")[2] for name in sent] == ["resume.pth", "files.json"]
    kept = sorted(stamp.name.split("/")[-1] for stamp in bucket.list("work/k"))
    assert kept == ["a", "files.json", "resume.pth"]
    elsewhere = make_copy(bucket, tmp_path / "elsewhere")
    elsewhere.fetch()
    sent.clear()
    elsewhere.save(Held())
    assert sent == [], "what came from the bucket was sent back"


def test_drafts_logs_and_links_stay_here(bucket: Bucket, tmp_path: Path) -> None:
    fill(tmp_path, work__resume_pth="1", log="")
    (tmp_path / "log.txt").write_text("printed")
    (tmp_path / "work" / ".resume.pth.x.partial").write_text("half")
    os.symlink("/etc/hostname", tmp_path / "work" / "link")
    make_copy(bucket, tmp_path).save(Held())
    log = bucket.read("logs/k/here.txt")
    assert log is not None
    assert log[0] == b"printed"
    found = bucket.read("work/k/files.json")
    assert found is not None
    assert sorted(json.loads(found[0])) == ["log", "work/resume.pth"]


def test_a_process_that_lost_its_lease_sends_nothing(bucket: Bucket, tmp_path: Path) -> None:
    fill(tmp_path, work__resume_pth="stale")
    make_copy(bucket, tmp_path).save(Held(lost=True))
    assert list(bucket.list("work")) == []


def test_a_machine_that_is_lost_while_it_sends_leaves_the_list_before(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, work__resume_pth="iteration 100", work__labels="of iteration 100")
    copy = make_copy(bucket, one)
    copy.save(Held())
    fill(one, work__resume_pth="iteration 200", work__labels="of iteration 200!")
    write = Bucket.write

    def die(self: Bucket, name: str, content: bytes | Path) -> None:
        if name.endswith("files.json"):
            raise KeyboardInterrupt
        write(self, name, content)

    monkeypatch.setattr(Bucket, "write", die)
    with pytest.raises(KeyboardInterrupt):
        copy.save(Held())
    make_copy(bucket, two).fetch()
    assert list_texts(two) == {"work/resume.pth": "iteration 100", "work/labels": "of iteration 100"}


def change_while_sending(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[], None]) -> None:
    """Let a file be changed once, when its sending has begun."""
    write, left = Bucket.write, [change]

    def write_slowly(self: Bucket, target: str, content: bytes | Path | BinaryIO) -> None:
        if target.endswith(name) and left:
            left.pop()()
        write(self, target, content)

    monkeypatch.setattr(Bucket, "write", write_slowly)


def replace(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.partial")
    draft.write_text(text)
    draft.replace(file)


def test_a_resume_point_that_is_replaced_while_it_is_sent_is_sent_as_it_was(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, work__resume_pth="iteration 100")
    copy = make_copy(bucket, one)
    copy.save(Held())
    fill(one, work__resume_pth="iteration 2000")
    change_while_sending(monkeypatch, "resume.pth", lambda: replace(one / "work/resume.pth", "iteration 30000"))
    copy.save(Held())
    make_copy(bucket, two).fetch()
    assert list_texts(two) == {"work/resume.pth": "iteration 2000"}
    copy.save(Held())
    make_copy(bucket, tmp_path / "three").fetch()
    assert list_texts(tmp_path / "three") == {"work/resume.pth": "iteration 30000"}
    assert len(list(bucket.list("work/k"))) == 2, "objects that no list names were left"


@pytest.mark.parametrize("change", ["written to", "gone"])
def test_a_file_that_was_not_sent_whole_stays_as_it_was_sent_before(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, work__book="1", work__other="1")
    copy = make_copy(bucket, one)
    copy.save(Held())
    fill(one, work__book="22", work__other="22")
    if change == "written to":
        change_while_sending(monkeypatch, "book", lambda: fill(one, work__book="333"))
    else:  # between the listing of the folder and the sending
        at_once = work_copy.run_at_once
        monkeypatch.setattr(
            work_copy, "run_at_once", lambda *items: [(one / "work/book").unlink(missing_ok=True), at_once(*items)][1]
        )
    copy.save(Held())
    monkeypatch.undo()
    make_copy(bucket, two).fetch()
    assert list_texts(two) == {"work/book": "1", "work/other": "22"}
    assert len(list(bucket.list("work/k"))) == 3
    copy.save(Held())
    make_copy(bucket, tmp_path / "three").fetch()
    expected = {"work/book": "333"} if change == "written to" else {}
    assert list_texts(tmp_path / "three") == expected | {"work/other": "22"}


@pytest.mark.parametrize("damage", ["other bytes", "gone"])
def test_what_is_damaged_in_the_bucket_is_not_gone_on_from(
    bucket: Bucket, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    fill(one, work__resume_pth="iteration 100", work__labels="of iteration 100")
    make_copy(bucket, one).save(Held())
    (name,) = (stamp.name for stamp in bucket.list("work/k") if stamp.name.endswith("resume.pth"))
    if damage == "gone":
        bucket.delete([name])
    else:
        bucket.write(name, b"iteration 900")
    copy = make_copy(bucket, two)
    copy.fetch()
    assert list_texts(two) == {"work/labels": "of iteration 100"}
    assert "two goes on without work/resume.pth: its copy is damaged or gone" in caplog.text
    fill(two, work__resume_pth="iteration 7")
    copy.save(Held())
    make_copy(bucket, tmp_path / "three").fetch()
    assert list_texts(tmp_path / "three") == {"work/labels": "of iteration 100", "work/resume.pth": "iteration 7"}


def test_a_bucket_that_is_away_stops_no_task(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from adapt.errors import PrerequisiteError

    def fail(*arguments: object) -> None:
        raise PrerequisiteError("no network")

    fill(tmp_path, work__resume_pth="1")
    monkeypatch.setattr(Bucket, "write", fail)
    make_copy(bucket, tmp_path).save(Held())
    assert "was not sent: no network" in caplog.text


def test_it_is_sent_while_the_task_runs(bucket_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the end: a machine that is lost says no goodbye."""
    import time

    monkeypatch.setattr(work_copy, "SAVE_S", 0.05)
    store, bucket = Store(bucket_uri), Bucket(bucket_uri)
    with store.working_on("k") as ours:
        assert ours
        fill(store.folder("k"), work__resume_pth="iteration 100")
        (store.folder("k") / "log.txt").write_text("printed")
        deadline = time.monotonic() + 60
        while bucket.look("work/k/files.json") is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (log,) = bucket.list("logs/k")
        assert bucket.read(log.name) == (b"printed", log)
