"""The published schemas of what leaves the lab as JSON: a leaderboard, and an entry."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entry import Entry
from orchestrator.leaderboard.forms import SCHEMA_VERSION

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = ("leaderboard", "entry")


def write_schema(name: str) -> str:
    """Return the text of a schema file.

    Args:
        name: one of `SCHEMAS`.
    """
    schema = _describe_leaderboard() if name == "leaderboard" else _describe_entry()
    return json.dumps({"$schema": DIALECT, **schema}, indent=1, sort_keys=True) + "\n"


def _describe_leaderboard() -> dict[str, Any]:
    """Describe `leaderboard.json`: a board with a version, whose rows leave out their resamples."""
    schema = TypeAdapter(Board).json_schema(mode="serialization")
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    schema["required"] = [*schema["required"], "schema_version"]
    row = schema["$defs"]["Row"]
    del row["properties"]["resamples"], schema["$defs"]["Resamples"]
    return schema


def _describe_entry() -> dict[str, Any]:
    """Describe the file of an entry as it may be written by hand: a score is an object, a number, or null."""
    schema = Entry.model_json_schema()
    score = schema["$defs"]["Score"]
    score["required"] = []
    schema["properties"]["scores"]["additionalProperties"] = {
        "anyOf": [{"$ref": "#/$defs/Score"}, {"type": "number"}, {"type": "null"}]
    }
    schema["$defs"]["Provenance"]["required"] = []  # reading fills in the command
    source = {"properties": {"source": {"type": "string", "minLength": 1}}, "required": ["source"]}
    schema["if"] = {"properties": {"status": {"const": "reproduced"}}, "required": ["status"]}
    schema["else"] = {"properties": {"provenance": source}, "required": ["provenance"]}
    return schema
