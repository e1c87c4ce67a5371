"""`segshift cluster`: the list of ready files, and each of them as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster import READY_FILES

FOLDER = Path(__file__).parents[3] / "orchestrator" / "cluster"


def test_they_are_listed_with_their_purpose(segshift: Any) -> None:
    outcome = segshift("cluster")
    assert outcome.code == 0
    listed = [line for line in outcome.out.splitlines() if line and not line.startswith("`")]
    assert [line.split()[0] for line in listed] == list(READY_FILES)
    assert all(len(line.split()) > 4 for line in listed)


@pytest.mark.parametrize("name", READY_FILES)
def test_one_is_printed_as_it_is(name: str, segshift: Any) -> None:
    outcome = segshift("cluster", name)
    assert outcome.code == 0
    assert outcome.out == (FOLDER / READY_FILES[name].file).read_text()


def test_an_unknown_one(segshift: Any) -> None:
    outcome = segshift("cluster", "azure")
    assert outcome.code == 2
    assert "onprem" in outcome.err
