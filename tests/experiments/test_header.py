"""What the comment at the top of an experiment's file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.header import read_header
from experiments.load import list_experiments


def test_entries_go_on_over_lines_until_the_comment_ends(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "# Question: does it\n#           work: at all?\n# Cost:     2 h\n#\n# Expected: 12 %\ntitle: x\n# Command: late\n"
    )
    assert read_header(str(tmp_path / "study.yaml")) == {
        "Question": "does it work: at all?",
        "Cost": "2 h",
        "Expected": "12 %",
    }


@pytest.mark.parametrize("text", ["title: x\n", "# a remark\ntitle: x\n", ""])
def test_a_file_without_such_a_comment_has_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(text)
    assert read_header(str(tmp_path / "study.yaml")) == {}


def test_every_experiment_that_is_shipped_says_four_things() -> None:
    assert {
        name: {"Question", "Command", "Cost", "Expected"} - set(read_header(name)) for name in list_experiments()
    } == {name: set() for name in list_experiments()}
