"""A store in a folder: what a record names is on the disk before the record is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestrator.store import Store


def watch_syncs(monkeypatch: pytest.MonkeyPatch, fail: Path | None = None, code: int = errno.EINVAL) -> list[str]:
    """Return the list of what is synced and linked from now on; the syncing of one path fails."""
    seen: list[str] = []
    sync, link = os.fsync, os.link

    def sync_and_note(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if path == str(fail):
            raise OSError(code, "cannot be synced", path)
        seen.append(path)
        sync(handle)

    def link_and_note(draft: Path, path: Path) -> None:
        seen.append(str(path))
        link(draft, path)

    monkeypatch.setattr(os, "fsync", sync_and_note)
    monkeypatch.setattr(os, "link", link_and_note)
    return seen


def fill(store: Store, key: str) -> Path:
    folder = store.folder(key)
    (folder / "pictures" / "late").mkdir(parents=True)
    for name in ("checkpoint.pth", "pictures/a.png", "pictures/late/b.png"):
        (folder / name).write_text(name)
    return folder


def test_files_and_folders_are_on_the_disk_before_the_record(
    store: Store, make_task, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("clean")
    folder = fill(store, task.key)
    seen = watch_syncs(monkeypatch)
    store.commit(make_record(task, files=store.list_files(task.key)))
    before = seen[: seen.index(str(folder / "record.json"))]
    names = ("checkpoint.pth", "pictures/a.png", "pictures/late/b.png", "pictures/late", "pictures", "")
    assert {str(folder / name) for name in names} <= set(before)
    assert str(folder.parent) not in before


def test_a_file_that_cannot_be_synced_is_not_committed(
    store: Store, make_task, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("clean")
    folder = fill(store, task.key)
    record = make_record(task, files=store.list_files(task.key))
    with monkeypatch.context() as patch:
        watch_syncs(patch, folder / "checkpoint.pth", errno.EIO)
        with pytest.raises(OSError, match="cannot be synced"):
            store.commit(record)
    assert not store.is_done(task.key)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_syncs_no_folders_will_do(
    store: Store, make_task, make_record, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    task = make_task("clean")
    folder = fill(store, task.key)
    record = make_record(task, files=store.list_files(task.key))
    watch_syncs(monkeypatch, folder / "pictures", code)
    if code == errno.EINVAL:
        store.commit(record)
    else:
        with pytest.raises(OSError, match="cannot be synced"):
            store.commit(record)
    assert store.is_done(task.key) == (code == errno.EINVAL)
