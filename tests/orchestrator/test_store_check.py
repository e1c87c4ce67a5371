"""Every kind of damage is found where the truth is kept, and nothing else is called damage."""

from __future__ import annotations

import pytest

from orchestrator.bucket import Bucket
from orchestrator.record import Record
from orchestrator.store import Store
from orchestrator.store_check import Damage, verify


@pytest.fixture
def chain(any_store: Store, make_task, make_record) -> tuple[Store, Record, Record]:
    """A training and its evaluation, both done, and a task that failed."""
    source = make_task("source_only", "train")
    clean = make_task("clean", needs=source)
    for task in (source, clean):
        with any_store.working_on(task.key):
            (any_store.folder(task.key)).mkdir(parents=True, exist_ok=True)
            (any_store.folder(task.key) / "checkpoint.pth").write_text("abc")
            any_store.commit(make_record(task, files=any_store.list_files(task.key)))
    any_store.write_failure(make_record(make_task("bad"), failure="no luck"))
    return any_store, any_store.read(source.key), any_store.read(clean.key)


def damage(store: Store, key: str, content: bytes | None) -> None:
    """Change a task's file where the truth is kept, or remove it."""
    if isinstance(store.place, str):
        bucket = Bucket(store.place)
        (name,) = (stamp.name for stamp in bucket.list(f"tasks/{key}"))
        bucket.delete([name]) if content is None else bucket.write(name, content)
    else:
        path = store.folder(key) / "checkpoint.pth"
        path.unlink() if content is None else path.write_bytes(content)


def test_what_is_whole_has_no_damage(chain: tuple[Store, Record, Record]) -> None:
    assert list(verify(chain[0])) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"abd", "source_only, checkpoint.pth: its bytes are not those that were recorded"),
        (b"ab", "source_only, checkpoint.pth: it has 2 bytes and should have 3"),
        (None, "source_only, checkpoint.pth: it is missing"),
    ],
    ids=["a changed byte", "truncated", "gone"],
)
def test_a_damaged_file_is_found(chain: tuple[Store, Record, Record], content: bytes | None, what: str) -> None:
    store, source, _ = chain
    damage(store, source.key, content)
    assert list(verify(Store(store.place))) == [Damage(source.key, what, store.explain_removal(source.key))]


def test_a_missing_input_is_found(chain: tuple[Store, Record, Record]) -> None:
    store, source, clean = chain
    store.remove(source.key)
    (found,) = verify(Store(store.place))
    assert found.key == clean.key
    assert f"its input 'checkpoint', the task {source.key[:12]}, is not there" in found.what
    assert "Run byhand again" in found.remedy


def test_a_record_that_cannot_be_read_is_found(chain: tuple[Store, Record, Record]) -> None:
    store, _, clean = chain
    if isinstance(store.place, str):
        Bucket(store.place).write(f"records/{clean.key}.json", b"{")
    else:
        (store.folder(clean.key) / "record.json").write_text("{")
    (found,) = verify(Store(store.place))
    assert (found.key, found.what) == (clean.key, "its record cannot be read")
    assert clean.key[:12] in found.remedy
