"""The reference of records: their keys, and the JSON schema that other programs may check them with."""

from __future__ import annotations

import json

from docs_settings import list_parts, write_section

from orchestrator.record import SCHEMA_VERSION, Record

HEAD = f"""\
# Record schema

`record.json` of a task, schema version {SCHEMA_VERSION}: [record.schema.json](record.schema.json). What the keys
hold in sentences, and what lies beside the file: [Records and leaderboards](../records.md).

Leaderboards and entries: [leaderboard.schema.json](../schema/leaderboard.schema.json),
[entry.schema.json](../schema/entry.schema.json).
"""


def write_files() -> dict[str, str]:
    """Return the page and the schema beside it, by file name."""
    sections = [HEAD, *(write_section(part, 2) for part in list_parts(Record))]
    return {"records.md": "\n".join(sections), "record.schema.json": json.dumps(Record.model_json_schema(), indent=1)}
