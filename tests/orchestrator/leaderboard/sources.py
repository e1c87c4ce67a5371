"""Records that lie in a dict, as a source of leaderboards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.record import Record


@dataclass(frozen=True)
class Records:
    """Records by key, why others are missing, and files by (key, name)."""

    records: Mapping[str, Record]
    missing: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def find_record(self, key: str) -> Record | None:
        return self.records.get(key)

    def explain_missing(self, key: str) -> str | None:
        return self.missing.get(key)

    def find_file(self, key: str, name: str) -> Path | None:
        return self.files.get((key, name))
