"""The scores of a row that follow from its other scores, derived again from these: means, the worst corruption, the drift.

A record holds no aggregate, so those of our own rows cannot go stale. A row from outside brings its own, and they can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from adapt.data.catalog import DATASET_TYPES
from adapt.scores.grid import Cell, average_severities
from corruptions.catalog import corruption
from orchestrator.leaderboard.row import Row, Score, pool_scores
from orchestrator.scoring import plain_name

Run = Mapping[str, float]
"""Column -> score of one run."""

CLASS, SHIFT, ROUND = "IoU/", "shift ", "round "

# The means over fewer classes that some data set is reported with, such as mIoU16 of SYNTHIA.
SUBSETS: dict[str, tuple[str, ...]] = {
    name: classes for each in DATASET_TYPES.values() for name, classes in each.reported_subsets.items()
}


def list_grid(protocol: Mapping[str, Any]) -> list[Cell]:
    """List the (corruption, severity) of a benchmark's protocol; none of another kind."""
    return [(str(name), int(severity)) for name, severity in protocol.get("cells", ())]


def list_domains(protocol: Mapping[str, Any]) -> list[str]:
    """List the domains of a stream's protocol as its columns are called; in a gradual stream as they begin."""
    domains = protocol.get("stream", {}).get("domains", ())
    parts = [(domain["dataset"], domain.get("corruption"), domain.get("severity")) for domain in domains]
    return [plain_name("/".join(str(part) for part in domain if part is not None)) for domain in parts]


def list_shifts(protocol: Mapping[str, Any]) -> list[str]:
    """List the columns of the real shifts of a benchmark's protocol."""
    return [f"{SHIFT}{plain_name(name)}" for name in protocol.get("shifts", {})]


def is_gradual(protocol: Mapping[str, Any]) -> bool:
    """Say whether the domains of a stream go through severities, so that a column is one of these."""
    return protocol.get("stream", {}).get("kind") == "gradual"


def list_cells(scores: Mapping[str, Score], protocol: Mapping[str, Any]) -> list[str]:
    """List the columns that other scores of a row are made of: cells of a grid, classes, or domains and rounds."""
    if protocol["kind"] == "benchmark":
        return [f"{name}/{severity}" for name, severity in list_grid(protocol)]
    if protocol["kind"] == "evaluate":
        return [column for column in scores if column.startswith(CLASS)]
    return [*(() if is_gradual(protocol) else list_domains(protocol)), *list_rounds(protocol)]


def derive_aggregates(row: Row, protocol: Mapping[str, Any]) -> dict[str, Score]:
    """Derive every aggregate of a row that its cells determine.

    Args:
        row: with the scores of its cells, over its runs where there are several.
        protocol: of its table, see `orchestrator.protocol`.

    Returns:
        Column -> score. What needs a cell that the row lacks is left out, and so is what is no mean (the worst corruption,
        rPC) where there are several runs and only the means of their cells.
    """
    if protocol["kind"] == "evaluate" and not _has_classes(row, protocol):
        return {}
    derive = {"benchmark": _derive_benchmark, "evaluate": _derive_evaluation, "stream": _derive_stream}
    runs, by_run = _split_runs(row, ["clean", *list_cells(row.scores, protocol), *list_shifts(protocol)])
    derived: dict[str, list[float]] = {}
    for run in runs:
        for column, value in derive[protocol["kind"]](run, protocol, by_run).items():
            derived.setdefault(column, []).append(value)
    return {column: pool_scores(values) for column, values in derived.items() if len(values) == len(runs)}


def _split_runs(row: Row, columns: Sequence[str]) -> tuple[list[Run], bool]:
    """Return the scores of each run, or of their mean where the runs are not told; and whether each is one run's."""
    scores = {column: row.scores[column] for column in columns if column in row.scores}
    counts = {len(score.values) for score in scores.values()}
    if counts and counts == {row.runs}:
        runs = [{name: score.values[number] for name, score in scores.items()} for number in range(row.runs)]
        return [{name: value for name, value in run.items() if value is not None} for run in runs], True
    means = {name: score.mean for name, score in scores.items() if score.mean is not None}
    return [means], row.runs == 1


def _derive_benchmark(run: Run, protocol: Mapping[str, Any], is_run: bool) -> dict[str, float]:
    cells = list_grid(protocol)
    found = {cell: run[f"{cell[0]}/{cell[1]}"] for cell in cells if f"{cell[0]}/{cell[1]}" in run}

    def average(wanted: Callable[[str], bool]) -> float | None:
        chosen = [cell for cell in cells if wanted(cell[0])]
        return fmean(average_severities(found, chosen).values()) if chosen and set(chosen) <= set(found) else None

    means: dict[str, float | None] = {"mPC": average(lambda name: True)}
    means["mPC fixed pixels"] = average(lambda name: not corruption(name).moves_pixels)
    for family in dict.fromkeys(corruption(name).family for name, _ in cells):
        means[f"mPC {family}"] = average(lambda name, family=family: corruption(name).family == family)  # type: ignore[misc]
    mpc, clean = means["mPC"], run.get("clean")
    if is_run and mpc is not None:
        means["worst"] = min(average_severities(found, cells).values())
        means["rPC"] = mpc / clean if clean else None
    shifts = list_shifts(protocol)
    means["mean shift"] = fmean(run[name] for name in shifts) if shifts and set(shifts) <= set(run) else None
    return {column: value for column, value in means.items() if value is not None}


def _derive_evaluation(run: Run, protocol: Mapping[str, Any], is_run: bool) -> dict[str, float]:
    if not is_run:  # a class can occur in one run and not in another, so that the mean of means is no mean
        return {}
    classes = {column.removeprefix(CLASS): value for column, value in run.items() if column.startswith(CLASS)}
    subsets = {"mIoU": tuple(classes), **SUBSETS}
    chosen = {name: [classes[one] for one in subset if one in classes] for name, subset in subsets.items()}
    return {name: fmean(values) for name, values in chosen.items() if values}


def _has_classes(row: Row, protocol: Mapping[str, Any]) -> bool:
    """Say whether a row has a column for every class of its data set, also for one that does not occur; if that is known."""
    described = DATASET_TYPES.get(str(protocol.get("dataset", {}).get("type")))
    return described is None or all(f"{CLASS}{plain_name(name)}" in row.scores for name in described.classes)


def _derive_stream(run: Run, protocol: Mapping[str, Any], is_run: bool) -> dict[str, float]:
    domains, rounds = list_domains(protocol), list_rounds(protocol)
    if rounds and set(rounds) <= set(run):
        return {"mean mIoU": fmean(run[name] for name in rounds), "drift": run[rounds[-1]] - run[rounds[0]]}
    if domains and not is_gradual(protocol) and set(domains) <= set(run):
        return {"mean mIoU": fmean(run[name] for name in domains)}
    return {}


def list_rounds(protocol: Mapping[str, Any]) -> list[str]:
    """List the columns of a stream's rounds; none where it has one, which is the mean itself."""
    count = int(protocol.get("stream", {}).get("rounds", 1))
    return [f"{ROUND}{number}" for number in range(1, count + 1)] if count > 1 else []
