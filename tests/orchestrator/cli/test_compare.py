"""`segshift compare`: on tasks of a store, in a terminal, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.record import Record
from orchestrator.stages.counts_file import save_counts
from orchestrator.store import Store

FRAMES = ["a", "b", "c", "d"]


@pytest.fixture
def records(make_task, make_record, tmp_path: Path) -> list[Record]:
    """Three networks evaluated on four images, the third under another protocol."""
    store, found = Store(tmp_path / "store"), []
    for place, (stage, right) in enumerate((("plain", 4), ("better", 8), ("other", 6))):
        task = make_task(stage)
        folder = store.folder(task.key)
        folder.mkdir(parents=True)
        counts = np.stack([[[right + image, 10 - right], [3, 7 + image]] for image in range(len(FRAMES))]).astype(
            np.int64
        )
        counts[:, 0, 1] = 14 - counts[:, 0, 0]
        save_counts(folder, FRAMES, {"clean": counts})
        protocol = {"kind": "evaluate", "limit": 4 if place == 2 else None, "dataset": {"split": "val"}}
        cells: dict[str, Any] = {"clean": ({}, tuple(map(tuple, counts.sum(axis=0).tolist())))}
        store.commit(make_record(task, cells, protocol=protocol, files=store.list_files(task.key)))
        found.append(store.read(task.key))
    return found


def test_two_tasks_are_compared(segshift, records: list[Record]) -> None:
    done = segshift("compare", records[0].key[:12], records[1].key[:12])
    assert (done.code, done.err) == (0, "")
    assert "baseline A: plain" in done.out
    assert "B: better" in done.out
    assert "mIoU" in done.out
    assert "traffic light" in done.out
    assert "paired resamples of 4 images" in done.out


def test_json_has_all_of_it(segshift, records: list[Record]) -> None:
    done = segshift("compare", records[0].key, records[1].key, "--json")
    data = json.loads(done.out)
    (comparison,) = data["comparisons"]
    assert data["schema_version"] == 1
    assert comparison["sides"] == ["plain", "better"]
    assert comparison["keys"]["better"] == [records[1].key]
    main = comparison["pairs"][0]["differences"][0]
    assert main["difference"]["low"] < main["difference"]["mean"] < main["difference"]["high"]


def test_a_page_is_written_where_it_is_asked_for(segshift, records: list[Record], tmp_path: Path) -> None:
    done = segshift("compare", records[0].key, records[1].key, "--html", "page.html")
    assert (done.code, done.err) == (0, "")
    assert str(tmp_path / "page.html") in done.out
    page = (tmp_path / "page.html").read_text()
    assert "better against plain" in page
    assert f"segshift compare {records[0].key} {records[1].key} --html page.html" in page


def test_another_protocol_is_refused_with_the_key_that_differs(segshift, records: list[Record]) -> None:
    done = segshift("compare", records[0].key, records[2].key)
    assert (done.code, done.out) == (2, "")
    assert "limit is null and 4" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "here"), "is no row and no task of the store"),
        (("gta2citiscapes/daformer", "x"), "Did you mean 'gta2cityscapes'?"),
    ],
)
def test_what_does_not_exist_is_said(arguments: tuple[str, ...], said: str, segshift, records) -> None:
    done = segshift("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_name_twice_and_a_page_that_cannot_be_written_are_refused(
    segshift, records: list[Record], tmp_path: Path
) -> None:
    twice = segshift("compare", "a1", "a1")
    assert (twice.code, "is named twice" in twice.err) == (2, True)
    lost = segshift("compare", records[0].key, records[1].key, "--html", tmp_path / "no" / "page.html")
    assert (lost.code, "cannot be written" in lost.err) == (2, True)


def test_one_thing_alone_is_a_usage_error(segshift) -> None:
    assert segshift("compare", "a1").code == 2
