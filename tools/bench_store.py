"""Measure the store: the commit of a record and a file of 1 MB into a folder, and reading many records.

python tools/bench_store.py [FOLDER]        the folder is where the store's disk is; default: here
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.record import Cell, Record
from orchestrator.store import Store

COMMITS = 51
RECORDS = 2000
CLASSES = 19
TARGET_MS = 20.0


def make_record(store: Store, key: str) -> Record:
    """Return the record of an evaluation of 19 classes with the files in its folder."""
    confusion = tuple(tuple(range(CLASSES)) for _ in range(CLASSES))
    return Record(
        key=key,
        status="done",
        experiment="bench",
        profile="full",
        stage="clean",
        label="clean",
        kind="evaluate",
        code_version=1,
        point={"seed": 0},
        settings={"dataset": "test"},
        chosen={},
        datasets={},
        inputs={},
        classes=tuple(map(str, range(CLASSES))),
        cells=(Cell(name="clean", frames=500, confusion=confusion),),
        files=store.list_files(key),
        started_at="2026-01-01T00:00:00+00:00",
        seconds=1.0,
    )


def measure(function: Callable[[], object]) -> float:
    """Return the milliseconds that a call takes."""
    started = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - started)


def show(name: str, values: list[float], target: str = "") -> None:
    """Print a median and its spread."""
    median = statistics.median(values)
    print(
        f"{name:<60}{median:9.2f} ms   ({min(values):.2f} to {max(values):.2f}, n={len(values)})  {target}", flush=True
    )


def bench_commits(folder: Path) -> None:
    """Hold a lease, leave 1 MB, hash it, commit, give the lease back: what a task costs beside its stage."""
    store = Store(folder / "store")
    content = bytes(range(256)) * 4096
    commits, wholes = [], []

    def work(key: str) -> None:
        with store.working_on(key):
            (store.folder(key) / "checkpoint.pth").write_bytes(content)
            commits.append(measure(lambda: store.commit(make_record(store, key))))

    for index in range(COMMITS):
        wholes.append(measure(lambda key=f"{index:032x}": work(key)))
    show("commit of a record and a file of 1 MB (with its hash)", commits, f"target {TARGET_MS:g} ms")
    show("the whole task: lease, file, commit, lease", wholes)


def bench_reading(folder: Path) -> None:
    """List and read many records."""
    store = Store(folder / "many")
    for index in range(RECORDS):
        key = f"{index:032x}"
        store.folder(key).mkdir(parents=True)
        store.commit(make_record(store, key))
    show(f"listing {RECORDS} finished tasks", [measure(store.list_done) for _ in range(5)])
    show("reading a record", [measure(lambda key=key: store.read(key)) for key in sorted(store.list_done())[:200]])


def main() -> None:
    """Run all."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else ".") as folder:
        bench_commits(Path(folder))
        bench_reading(Path(folder))


if __name__ == "__main__":
    main()
