"""Protocols in experiment files: by name, from a file, written out."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapt.errors import SpecError
from corruptions.protocol import protocol
from experiments.grid import find_grid, name_grid, write_out
from experiments.schema import BenchmarkStage

from .conftest import Expand, Refuse
from .samples import FULL, edit, keys

WINTER = "name: winter\ncells:\n  snow: [1, 3]\n  fog: 2\n"


def stage(**settings) -> BenchmarkStage:
    return BenchmarkStage.model_validate({"kind": "benchmark", "model": "net", "dataset": "test", **settings})


def test_a_name_means_the_protocol_of_that_name():
    assert find_grid(stage(protocol="fan")) == protocol("fan")
    assert name_grid(stage(protocol="fan")) == "fan"


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_a_stage_chooses_the_backend(backend: str):
    found = find_grid(stage(protocol="michaelis", backend=backend))
    assert (found.backend, found.cells) == (backend, protocol("michaelis").cells)


def test_a_file_is_put_in_its_place_and_found_beside_the_experiment_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    (here / "winter.yaml").write_text(WINTER)
    content = write_out("winter.yaml", beside)
    found = find_grid(stage(protocol=content))
    assert (found.name, found.cells) == ("winter", (("snow", 1), ("snow", 3), ("fog", 2)))
    (beside / "winter.yaml").write_text("name: beside\ncells: {fog: 1}\n")
    assert write_out("winter.yaml", beside)["name"] == "beside"
    assert write_out("quick", beside) == "quick"


def test_a_file_that_is_nowhere_is_named_with_all_places(tmp_path: Path):
    with pytest.raises(SpecError, match=r"looked for .*a/winter\.yaml and .*winter\.yaml\. Correct the path"):
        write_out("winter.yaml", tmp_path / "a")


def test_the_key_of_a_task_follows_the_content_of_the_file(expand_text: Expand, tmp_path: Path):
    file = tmp_path / "winter.yaml"
    text = edit(FULL, ("protocol: quick", f"protocol: {file}"))
    file.write_text(WINTER)
    before = keys(expand_text(text), "grid")
    file.write_text(f"# a comment\n{WINTER}")
    assert keys(expand_text(text), "grid") == before
    file.write_text(WINTER.replace("3", "4"))
    assert keys(expand_text(text), "grid") != before


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("protocol: qick #!", "'quick'"),
        ("protocol: {name: mine, cells: {fogg: 3}} #!", "'fog'"),
        ("protocol: {name: mine, cells: {fog: 6}} #!", "6"),
        ("protocol: {name: mine} #!", "cells"),
        ("protocol: {name: mine, cell: {fog: 1}, cells: {fog: 1}} #!", "cell"),
        ("protocol: nowhere.yaml #!", "nowhere.yaml"),
        ("protocol: 3 #!", "the name of a protocol, the path of a YAML file, or a mapping"),
        ("protocol: [fog] #!", "the name of a protocol, the path of a YAML file, or a mapping"),
    ],
)
def test_what_is_no_protocol_is_refused_with_file_and_key(refuse: Refuse, protocol: str, message: str):
    text = "\n".join(refuse(edit(FULL, ("protocol: quick", protocol))))
    assert message in text
    assert "stages.grid.protocol" in text


def test_a_data_set_is_not_scored_twice(refuse: Refuse):
    assert "`shifts` names 'test'" in refuse(edit(FULL, ("protocol: quick", "shifts: [test]")))[0]
    assert "unknown data set 'foggy'" in refuse(edit(FULL, ("protocol: quick", "shifts: [foggy]")))[0]
