"""Scores that papers report, as context beside a leaderboard: never ranked with rows that were measured or submitted.

They lie in YAML files beside this module. A protocol that two papers call by one name is rarely one: each table says what is
known of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adapt.settings import Settings
from experiments.document import read_document
from experiments.explain import validate

FOLDER = "published_tables"


@dataclass(frozen=True)
class PublishedRow:
    """One method of a paper: its values in the order of the table's columns, None where the paper has none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class PublishedTable:
    """A table of one or several papers.

    Attributes:
        title: what was measured, and its unit.
        kind: of protocol.
        dataset: what it was measured on.
        source: citation.
        url: where it can be read.
        columns: names; mIoU in percent, others in the unit of their name.
        rows: the methods.
        note: what is known of the protocol, and how it differs from ours.
    """

    title: str
    kind: Literal["evaluate", "benchmark", "stream"]
    dataset: str
    source: str
    url: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    note: str = ""


class _Table(Settings):
    """A table as it stands in its file, rows by name."""

    title: str
    kind: Literal["evaluate", "benchmark", "stream"]
    dataset: str
    source: Annotated[str, Field(min_length=1)]
    url: Annotated[str, Field(pattern="^https://")]
    columns: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]
    note: str = ""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for name, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"'{name}' has {len(values)} values for {len(self.columns)} columns")
        return self

    def build(self) -> PublishedTable:
        rows = tuple(PublishedRow(name, values) for name, values in self.rows.items())
        return PublishedTable(self.title, self.kind, self.dataset, self.source, self.url, self.columns, rows, self.note)


class _File(Settings):
    tables: tuple[_Table, ...]


@cache
def list_published() -> tuple[PublishedTable, ...]:
    """Return the published tables that segshift ships, file by file."""
    files = sorted(
        (file for file in resources.files("orchestrator.leaderboard").joinpath(FOLDER).iterdir()),
        key=lambda file: file.name,
    )
    found: list[PublishedTable] = []
    for file in files:
        if file.name.endswith(".yaml"):
            with resources.as_file(file) as path:
                document = read_document(path)
            parsed: _File = validate(_File, document.data, document)
            found += [table.build() for table in parsed.tables]
    return tuple(found)


def choose_published(pairs: set[tuple[str, str]]) -> tuple[PublishedTable, ...]:
    """Return the published tables of some (kind of protocol, data set): those that are context for them."""
    return tuple(table for table in list_published() if (table.kind, table.dataset) in pairs)
