"""The schemas in the docs are those of the code, and hold of what the code writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entry import dump_entry, make_entry
from orchestrator.leaderboard.forms import to_json
from orchestrator.leaderboard.row import Detail, Provenance, Resamples
from orchestrator.leaderboard.schema_file import SCHEMAS, write_schema
from orchestrator.leaderboard.table import finish_table
from tests.orchestrator.leaderboard.rows import BENCHMARK, PROVENANCE, make_grid, make_row

FOLDER = Path(__file__).parents[3] / "docs" / "schema"
ROW = make_row(
    "a",
    make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3),
    resamples=Resamples("images", (0.1, 0.2)),
    detail=Detail(("road",), {"clean": (0.8,)}, reliability={"clean": ((1.0,) * 15,) * 3}),
    provenance=Provenance("segshift sweep a", source="us"),
)


def read(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_is_current(name: str) -> None:
    said = f"run `segshift leaderboard schema {name} > docs/schema/{name}.schema.json`"
    assert (FOLDER / f"{name}.schema.json").read_text() == write_schema(name), said


def test_a_leaderboard_follows_its_schema_and_leaves_out_resamples() -> None:
    board = Board("byhand", "full", "t", False, (finish_table("t", BENCHMARK, [ROW]),))
    data = json.loads(to_json(board))
    jsonschema.validate(data, read("leaderboard"))
    assert data["schema_version"] == 1
    assert "resamples" not in to_json(board)
    del data["tables"][0]["rows"][0]["scores"]
    with pytest.raises(jsonschema.ValidationError, match="'scores' is a required property"):
        jsonschema.validate(data, read("leaderboard"))


def test_an_entry_follows_its_schema_whether_it_is_written_here_or_by_hand() -> None:
    written = json.loads(dump_entry(make_entry(ROW, BENCHMARK, "t", miniature=False)))
    by_hand = {
        "method": "a",
        "protocol": {"kind": "evaluate", "dataset": "cityscapes", "split": "val"},
        "scores": {"mIoU": 0.8, "IoU/road": {"values": [0.8]}, "IoU/sky": None},
        "provenance": {"source": "A. Author"},
    }
    plain = json.loads(dump_entry(make_entry(make_row("b", ROW.scores, provenance=PROVENANCE), BENCHMARK, "t", False)))
    assert "source" not in plain["provenance"]  # nobody's word but the records'
    for entry in (written, plain, by_hand):
        jsonschema.validate(entry, read("entry"))
    for nobody in (by_hand | {"provenance": {"command": "x"}}, {**plain, "status": "self-reported"}):
        with pytest.raises(jsonschema.ValidationError, match="'source' is a required property"):
            jsonschema.validate(nobody, read("entry"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(by_hand | {"methods": "b"}, read("entry"))
