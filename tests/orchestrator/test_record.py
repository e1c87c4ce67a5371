"""The record on disk: exact round trip, other schemas and damaged files refused with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError
from orchestrator.record import Clip, dump_record, read_record


def test_a_record_reads_back_as_it_was_written(make_task, make_record, tmp_path: Path) -> None:
    task = make_task("clean", point={"seed": 3, "method": {"name": "tent", "lr": 1e-4}})
    record = make_record(task, {"clean": ({}, ((3, 1), (1, 3)))}, metrics={"fps": None, "loss": 0.25})
    file = tmp_path / "record.json"
    file.write_text(dump_record(record))
    assert read_record(file) == record
    raw = json.loads(file.read_text())
    assert raw["schema_version"] == 1
    assert raw["cells"][0]["confusion"] == [[3, 1], [1, 3]]
    assert raw["metrics"] == {"fps": None, "loss": 0.25}


def test_clips_and_calibration_are_read_back_exactly(make_task, make_record, tmp_path: Path) -> None:
    clip = Clip(name="a..b", frames=2, intersection=(1, 0), union=(2, 0), vc={8: (0.1 + 0.2, 3)}, perceptual=(1 / 3, 1))
    record = make_record(make_task("weather", "stream"), {"0/fog": ({"round": 0, "domain": "fog"}, ((1, 0), (0, 1)))})
    cell = record.cells[0].model_copy(update={"calibration": ((1.0,), (1 / 3,), (0.0,)), "clips": (clip,)})
    record = record.model_copy(update={"cells": (cell,)})
    file = tmp_path / "record.json"
    file.write_text(dump_record(record))
    assert read_record(file) == record


def test_a_record_of_before_clips_and_calibration_is_read(make_task, make_record, tmp_path: Path) -> None:
    raw = json.loads(dump_record(make_record(make_task("clean"), {"clean": ({}, ((1, 0), (0, 1)))})))
    del raw["seal"]  # nor were records sealed then
    for cell in raw["cells"]:
        del cell["calibration"], cell["clips"]
    file = tmp_path / "record.json"
    file.write_text(json.dumps(raw))
    (cell,) = read_record(file).cells
    assert (cell.calibration, cell.clips) == (None, ())


def test_a_record_that_was_edited_by_hand_is_refused_and_named(make_task, make_record, tmp_path: Path) -> None:
    """One pixel more that is right; the same content in another layout is no edit."""
    text = dump_record(make_record(make_task("clean"), {"clean": ({}, ((30, 10), (10, 30)))}))
    file = tmp_path / "record.json"
    raw = json.loads(text)
    file.write_text(json.dumps(dict(reversed(raw.items()))))
    read_record(file)
    raw["cells"][0]["confusion"][0][0] += 1
    file.write_text(json.dumps(raw))
    with pytest.raises(PrerequisiteError, match="was changed after it was written") as caught:
        read_record(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float, make_task, make_record) -> None:
    with pytest.raises(ValueError, match="finite number"):
        make_record(make_task("clean"), metrics={"loss": value})


def test_another_schema_version_is_refused_with_what_to_do(make_task, make_record, tmp_path: Path) -> None:
    raw = json.loads(dump_record(make_record(make_task("clean"))))
    file = tmp_path / "record.json"
    for version in (2, None, "1"):
        file.write_text(json.dumps(raw | {"schema_version": version}))
        with pytest.raises(PrerequisiteError, match=r"record schema .*reads 1\. Use the segshift that wrote it"):
            read_record(file)


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", "half", "unknown key", "\xff"])
def test_a_damaged_record_is_refused_and_names_the_file(damage: str, make_task, make_record, tmp_path: Path) -> None:
    text = dump_record(make_record(make_task("clean")))
    file = tmp_path / "record.json"
    if damage == "half":
        file.write_text(text[: len(text) // 2])
    elif damage == "unknown key":
        file.write_text(json.dumps({k: v for k, v in json.loads(text).items() if k != "seal"} | {"surprise": 1}))
    else:
        file.write_bytes(damage.encode("latin-1"))
    with pytest.raises(PrerequisiteError) as caught:
        read_record(file)
    assert str(file) in str(caught.value)


def test_a_record_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"cannot be read \(FileNotFoundError\)\. Remove its folder"):
        read_record(tmp_path / "record.json")
