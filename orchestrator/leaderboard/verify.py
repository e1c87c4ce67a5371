"""Checks of a folder of entries: that each can be read, is called as it should be, and says nothing that its cells deny."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adapt.errors import SpecError
from orchestrator.leaderboard.checks import find_stale, find_warnings
from orchestrator.leaderboard.entries import Found, group_entries, list_duplicates, list_entry_files, list_unfounded
from orchestrator.leaderboard.entry import name_file, read_entry


@dataclass(frozen=True)
class Report:
    """What was found in entries.

    Attributes:
        entries: how many could be read.
        tables: of how many protocols they are.
        errors: what must be mended, with its file.
        warnings: what should be looked at, with its file.
    """

    entries: int
    tables: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def verify_entries(places: Iterable[Path]) -> Report:
    """Check entries, each for itself and among those of its protocol.

    Args:
        places: files of entries, and folders of them.

    Returns:
        Errors: files that cannot be used, stale aggregates, a status without what it asks for, wrong names, duplicates.
        Warnings: the other checks of a table, and reproduced rows without resamples.

    Raises:
        SpecError: a place does not exist.
    """
    found: list[Found] = []
    errors: list[str] = []
    for file in list_entry_files(places):
        try:
            found.append(Found(file, read_entry(file)))
        except SpecError as error:
            errors.append(str(error))
    errors += list_duplicates(found)
    groups = group_entries(found)
    warnings = []
    for group in groups:
        protocol = group[0].entry.protocol
        rows = [each.entry.to_row() for each in group]
        for each, row, doubts in zip(group, rows, find_warnings(rows, protocol), strict=True):
            stale = find_stale(row, protocol)
            errors += [f"{each.file}: {text}: mend the one that is wrong." for text in stale]
            errors += [f"{each.file}: {text}" for text in list_unfounded(each.entry)]
            warnings += [f"{each.file}: {text}." for text in doubts if text not in stale]
            if row.status == "reproduced" and row.reason is None and row.resamples is None:
                warnings.append(f"{each.file}: reproduced, but without the resamples by which ranks are compared.")
            if each.file.name != name_file(each.entry):
                errors.append(
                    f"{each.file}: this entry is to be called {name_file(each.entry)}, so that no row is there twice: rename "
                    "the file, or add it by `segshift leaderboard add`."
                )
    return Report(len(found), len(groups), tuple(errors), tuple(warnings))
