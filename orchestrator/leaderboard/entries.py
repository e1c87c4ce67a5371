"""A folder of entries: rows of stores exported into it, rows from outside added to it, and the leaderboard made from it.

Each entry is a file of its own, named by what makes it one row of one table: two branches that add rows merge without a
conflict, and one that adds a row that is there already does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from adapt.atomic import write_atomically
from adapt.errors import SpecError
from experiments.explain import closest, unknown
from experiments.schema import GapSettings
from orchestrator.leaderboard.aggregates import list_grid
from orchestrator.leaderboard.board import Board, tell_titles_apart
from orchestrator.leaderboard.checks import find_stale, find_warnings
from orchestrator.leaderboard.entry import (
    SUFFIX,
    Entry,
    dump_entry,
    make_entry,
    name_file,
    parse_entry,
    read_entry,
)
from orchestrator.leaderboard.entry_protocol import name_protocol
from orchestrator.leaderboard.reference import Sought
from orchestrator.leaderboard.row import Row
from orchestrator.leaderboard.table import Table, finish_table

_SHOWN = 5  # files that an error lists before it counts the rest


class Found(NamedTuple):
    """An entry and the file that it was read from."""

    file: Path
    entry: Entry


def list_entry_files(places: Iterable[Path]) -> list[Path]:
    """Return the files of entries that files and folders mean, by name.

    Raises:
        SpecError: a place does not exist.
    """
    files: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise SpecError(f"{place}: there is no such file or folder. Correct the path.")
        files |= dict.fromkeys(sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place])
    return list(files)


def read_entries(places: Iterable[Path]) -> list[Found]:
    """Read every entry of some files and folders.

    Raises:
        SpecError: some of them cannot be used; each is named with what is wrong.
    """
    found, errors = [], []
    for file in list_entry_files(places):
        try:
            found.append(Found(file, read_entry(file)))
        except SpecError as error:
            errors.append(str(error))
    refuse(errors)
    return found


def export_entries(board: Board, folder: Path) -> tuple[Path, ...]:
    """Write the rows of a leaderboard as entries; rows without any result are left out.

    An entry of the same experiment is replaced, for that is how results are brought up to date.

    Args:
        board: made from this store's records.
        folder: of entries; made where it is missing.

    Returns:
        The files.

    Raises:
        SpecError: a file of the same name holds somebody else's row. Nothing is written then.
    """
    entries = [entry for table in board.tables for entry in _export_table(table, board.miniature)]
    texts = {folder / name_file(entry): dump_entry(entry) for entry in entries}
    refuse(
        error
        for file, entry in zip(texts, entries, strict=True)
        if file.exists() and (error := _explain_foreign(read_entry(file), entry, file))
    )
    _write_all(texts)
    return tuple(texts)


def add_entries(files: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Check entries from outside, mark them as self-reported, and put them into a folder.

    Args:
        files: of one entry each.
        folder: of entries; made where it is missing.

    Returns:
        The new files.

    Raises:
        SpecError: an entry is wrong, says of itself what its cells deny, names no source, or is there already. Nothing is
            written then.
    """
    texts: dict[Path, str] = {}
    errors: list[str] = []
    for file, entry in read_entries(files):
        # Read again as what it is from now on, so that nothing is written that cannot be read.
        marked = parse_entry(dump_entry(entry.model_copy(update={"status": "self-reported"})), str(file))
        target = folder / name_file(marked)
        errors += [f"{file}: {text}: correct one of the two." for text in find_stale(marked.to_row(), marked.protocol)]
        errors += [f"{file}: {text}" for text in list_unfounded(marked)]
        if target in texts or target.exists():
            where = "twice among these files" if target in texts else f"there already, in {target}"
            errors.append(
                f"{file}: '{marked.name}' under this protocol is {where}: remove the other file, or tell the two apart by "
                "`method` or `axes`."
            )
        texts[target] = dump_entry(marked)
    refuse(errors)
    _write_all(texts)
    return tuple(texts)


def list_unfounded(entry: Entry) -> list[str]:
    """Say what an entry lacks that its status asks for: who says so, or the tasks and the experiment behind it."""
    provenance = entry.provenance
    if entry.status == "self-reported":
        source = provenance.source if provenance is not None else None
        founded = source is not None and source.strip()
        return [] if founded else ["provenance.source: say where the numbers come from: a paper, a page, a person."]
    if entry.keys and provenance is not None and provenance.experiment:
        return []
    return [
        "status: 'reproduced', but without the tasks (`keys`) or the experiment (`provenance.experiment`) behind it: export it "
        "from its store, or add it as self-reported by `segshift leaderboard add`."
    ]


def build_board_of(
    found: Sequence[Found], name: str, title: str, reference: str | None = None, gap: GapSettings | None = None
) -> Board:
    """Make the leaderboard of entries: one table a protocol, ranked and checked as tables of records are.

    Args:
        found: the entries.
        name: of the leaderboard.
        title: its heading, a sentence.
        reference: name of the reproduced entry that CD, rCD, mCE and relative mCE are relative to; None leaves these out.
        gap: the training stages between which the closed gap is measured, of reproduced rows; None leaves it out.

    Raises:
        SpecError: miniature and real data are mixed, an entry is there twice, no reproduced row is called as the reference, or
            none was trained by a stage of the gap.
    """
    toys = [each.file for each in found if each.entry.miniature]
    if toys and len(toys) < len(found):
        raise SpecError(
            f"{', '.join(map(str, toys[:_SHOWN]))}: {len(toys)} of {len(found)} entries are of miniature data, which no page "
            "shows beside real numbers: move them to a folder of their own."
        )
    refuse(list_duplicates(found))
    _check_compared(found, reference, gap)
    tables = [_build_table(group, reference, gap) for group in group_entries(found)]
    return Board(name, "entries", title, bool(toys), tell_titles_apart(tables))


def group_entries(found: Sequence[Found]) -> list[list[Found]]:
    """Group entries by protocol; benchmarks come first, then streams, then evaluations, each by title."""
    groups: dict[str, list[Found]] = {}
    for each in found:
        groups.setdefault(json.dumps(each.entry.protocol, sort_keys=True), []).append(each)
    order = ("benchmark", "stream", "evaluate")
    return sorted(groups.values(), key=lambda group: (order.index(group[0].entry.protocol["kind"]), _name_table(group)))


def list_duplicates(found: Sequence[Found]) -> list[str]:
    """Say of each row that several files hold which these are."""
    files: dict[str, list[Found]] = {}
    for each in found:
        files.setdefault(name_file(each.entry), []).append(each)
    return [
        f"{', '.join(str(each.file) for each in alike)}: '{alike[0].entry.name}' under one protocol is there "
        f"{len(alike)} times: remove all but one."
        for alike in files.values()
        if len(alike) > 1
    ]


def refuse(errors: Iterable[str]) -> None:
    """Raise one error for several, where there are any.

    Raises:
        SpecError: there are; the first are listed.
    """
    listed = list(errors)
    if listed:
        rest = [f"... and {len(listed) - _SHOWN} more."] if len(listed) > _SHOWN else []
        raise SpecError("\n".join([*listed[:_SHOWN], *rest]))


def _export_table(table: Table, miniature: bool) -> list[Entry]:
    """Return the entries of a table's rows, without the warnings that every table finds anew."""
    anew = find_warnings(table.rows, table.protocol)
    entries = []
    for row, found in zip(table.rows, anew, strict=True):
        if row.seeds:
            own = tuple(warning for warning in row.warnings if warning not in found)
            entries.append(make_entry(replace(row, warnings=own), table.protocol, table.title, miniature))
    return entries


def _explain_foreign(old: Entry, new: Entry, file: Path) -> str | None:
    """Say why an entry cannot be replaced by a new one; None where it can."""
    experiments = [each.provenance.experiment if each.provenance is not None else None for each in (old, new)]
    if old.status == new.status and (experiments[0] == experiments[1] or old.keys == new.keys):
        return None
    whose = "self-reported" if old.status == "self-reported" else f"of experiment '{experiments[0]}'"
    return f"{file}: '{old.name}' is there already, {whose}: remove that file, or give the new row another label."


def _write_all(texts: dict[Path, str]) -> None:
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)


def _name_table(group: Sequence[Found]) -> str:
    return next((each.entry.title for each in group if each.entry.title), name_protocol(group[0].entry.protocol))


def _check_compared(found: Sequence[Found], reference: str | None, gap: GapSettings | None) -> None:
    """Refuse a reference or a gap that no reproduced row stands for."""
    own = [each.entry for each in found if each.entry.status == "reproduced"]
    names = [entry.name for entry in own]
    if reference is not None and reference not in names:
        if any(each.entry.name == reference for each in found):
            raise SpecError(
                f"--reference: '{reference}' is self-reported: CD and mCE are relative to a reproduced row."
            )
        raise SpecError(f"--reference: no entry is called '{reference}'.{closest(reference, names)}")
    stages = {entry.trained_in for entry in own if entry.trained_in}
    for stage in (gap.source, gap.oracle) if gap is not None else ():
        if stage not in stages:
            raise unknown("stage that trained a reproduced row", stage, stages, "--gap")


def _build_table(group: Sequence[Found], reference: str | None, gap: GapSettings | None) -> Table:
    protocol = group[0].entry.protocol
    rows: list[Row] = [each.entry.to_row() for each in group]
    sought = (
        None if reference is None else Sought(f"'{reference}'", partial(_is_reference, reference), list_grid(protocol))
    )
    ends = () if gap is None else (gap.source, gap.oracle)
    has_end = any(row.trained_in in ends for row in rows)
    return finish_table(_name_table(group), protocol, rows, gap if has_end else None, sought)


def _is_reference(reference: str, row: Row) -> bool:
    return row.entry == reference and row.status == "reproduced"
