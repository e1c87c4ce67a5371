"""The manifest: one line an image, found again after an interruption, and nobody else's."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from corruptions import CorruptionError
from corruptions.manifest import JOURNAL, NAME, Manifest

IDENTITY = {"format": 1, "protocol": "quick", "cells": {"fog": [1, 3]}, "seed": 0}
ENDING = {"problems": [], "status": "finished"}


def rows(out: Path) -> list[dict[str, object]]:
    return list(json.loads((out / NAME).read_text())["images"])


def test_lines_are_found_and_sorted_and_the_last_one_counts(tmp_path: Path) -> None:
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        for source, value in (("b", 1), ("a", 2), ("ü", 3), ("b", 4)):
            manifest.add({"source": source, "value": value})
        assert "a" in manifest
        assert "c" not in manifest
        assert manifest.find("c") is None
        assert manifest.find("b") == {"source": "b", "value": 4}
        manifest.finish([], ENDING)
    whole = json.loads((tmp_path / NAME).read_text())
    assert whole == IDENTITY | ENDING | {
        "images": [{"source": "a", "value": 2}, {"source": "b", "value": 4}, {"source": "ü", "value": 3}]
    }
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_while_a_command_works_the_manifest_says_so(tmp_path: Path) -> None:
    running = {"problems": [], "status": "incomplete"}
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        manifest.begin(running)
        assert json.loads((tmp_path / NAME).read_text()) == IDENTITY | running | {"images": []}
        manifest.add({"source": "a"})
        manifest.finish([], ENDING)
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        assert json.loads((tmp_path / NAME).read_text())["status"] == "finished"  # nothing is done yet
        manifest.begin(running)
        assert json.loads((tmp_path / NAME).read_text()) == IDENTITY | running | {"images": [{"source": "a"}]}
        manifest.add({"source": "b"})
        assert manifest.find("a") == {"source": "a"}
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:  # after the kill
        manifest.begin(running)
        assert rows(tmp_path) == [{"source": "a"}, {"source": "b"}]
        manifest.finish(["b"], ENDING)
    assert json.loads((tmp_path / NAME).read_text()) == IDENTITY | ENDING | {"images": [{"source": "a"}]}


def test_an_interrupted_command_is_gone_on_with(tmp_path: Path) -> None:
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        manifest.add({"source": "a"})
        manifest.finish([], ENDING)
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        manifest.add({"source": "b"})
        manifest.add({"source": "c"})
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-7])  # in the middle of a line
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        assert list(manifest) == ["a", "b"]
        manifest.add({"source": "d"})
        manifest.finish(["a"], ENDING)
    assert rows(tmp_path) == [{"source": "b"}, {"source": "d"}]


def test_no_images_are_a_manifest_too(tmp_path: Path) -> None:
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        manifest.finish([], ENDING)
    assert rows(tmp_path) == []
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        assert list(manifest) == []


@pytest.mark.parametrize("is_finished", [True, False])
def test_copies_made_otherwise_are_refused(tmp_path: Path, is_finished: bool) -> None:
    with closing(Manifest(tmp_path, IDENTITY)) as manifest:
        if is_finished:
            manifest.finish([], ENDING)
    with pytest.raises(
        CorruptionError, match=r"made otherwise .seed was 0, and is 1 now.: give another folder, or remove"
    ):
        Manifest(tmp_path, IDENTITY | {"seed": 1})


def test_what_differs_is_told_without_a_grid_and_without_what_follows(tmp_path: Path) -> None:
    one = IDENTITY | {"backends": ["fast"], "version": "ours 1"}
    Manifest(tmp_path, one).close()
    for other, told in (
        ({"cells": {"fog": [3]}}, "its cells are others now"),
        ({"protocol": "mine", "cells": {"fog": [3]}}, 'protocol was "quick", and is "mine" now'),
        ({"version": "ours 2"}, 'version was "ours 1", and is "ours 2" now'),
        (
            {"backends": ["a"], "version": "x", "seed": 1},
            'seed was 0, and is 1 now; backends was ["fast"], and is ["a"] now',
        ),
    ):
        with pytest.raises(CorruptionError) as caught:
            Manifest(tmp_path, one | other)
        assert f" made otherwise ({told}): give another folder" in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"images": []}', "{\n" + ' "images": [\n', '{"noise": 1}\n'])
def test_another_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(CorruptionError, match="is no manifest of corrupted copies"):
        Manifest(tmp_path, IDENTITY)


def test_other_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CorruptionError, match="is not empty and holds no corrupted copies"):
        Manifest(tmp_path, IDENTITY)
    with pytest.raises(CorruptionError, match="is a file"):
        Manifest(tmp_path / "thesis.tex", IDENTITY)
    with pytest.raises(CorruptionError, match="cannot be written"):
        Manifest(tmp_path / "thesis.tex" / "out", IDENTITY)


def test_two_commands_do_not_write_one_folder(tmp_path: Path) -> None:
    with (
        closing(Manifest(tmp_path, IDENTITY)),
        pytest.raises(CorruptionError, match="another command is writing copies"),
    ):
        Manifest(tmp_path, IDENTITY)
    Manifest(tmp_path, IDENTITY).close()
