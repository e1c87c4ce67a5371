"""Which folders results may go to, and what is removed from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError, SpecError
from adapt.tta.live.folder import check_folder, prepare_folder, write_run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    return tmp_path / "clip"


def test_a_new_and_an_empty_folder_are_taken(tmp_path: Path, source: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "empty"):
        check_folder(folder, source, overwrite=False)
        prepare_folder(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["labels", "overlays", "run.json"]
        assert json.loads((folder / "run.json").read_text()) == {"command": "segshift adapt", "status": "running"}


def test_an_earlier_run_is_removed_on_demand_and_nothing_else(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    prepare_folder(out)
    for name in ("labels/a.png", "overlays/a.jpg", "frames.jsonl", "side_by_side.webm", "side_by_side.avi", "mine.txt"):
        (out / name).write_text("old")
    with pytest.raises(SpecError, match=r"earlier run.*--overwrite"):
        check_folder(out, source, overwrite=False)
    assert (out / "labels" / "a.png").exists()
    check_folder(out, source, overwrite=True)
    prepare_folder(out)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {"run.json", "mine.txt"}


@pytest.mark.parametrize("run", [None, "{}", "no json", '["segshift adapt"]'])
def test_a_folder_of_others_is_never_taken(tmp_path: Path, source: Path, run: str | None) -> None:
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    (out / "labels" / "mine.png").write_text("mine")
    if run is not None:
        (out / "run.json").write_text(run)
    for overwrite in (False, True):
        with pytest.raises(SpecError, match="is not empty, and what it holds is not of an earlier"):
            check_folder(out, source, overwrite)


def test_results_never_go_over_the_input(tmp_path: Path, source: Path) -> None:
    for out in (source, tmp_path):
        with pytest.raises(SpecError, match="lie in the folder of the results"):
            check_folder(out, source, overwrite=True)
    check_folder(source / "out", source, overwrite=False)  # below it is fine: folders inside are not looked into


def test_a_file_in_the_way(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(SpecError, match="is a file"):
        check_folder(tmp_path / "out", source, overwrite=True)
    with pytest.raises(PrerequisiteError, match="cannot be written"):
        prepare_folder(tmp_path / "out" / "inside")


def test_the_run_is_marked_as_ours(tmp_path: Path) -> None:
    write_run(tmp_path, {"status": "done", "frames": 3})
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "command": "segshift adapt",
        "status": "done",
        "frames": 3,
    }
