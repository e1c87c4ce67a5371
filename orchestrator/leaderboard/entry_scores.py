"""What is wrong with the scores of an entry: impossible values, unknown columns, cells too many or too few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapt.data.catalog import DATASET_TYPES
from corruptions.catalog import CORRUPTIONS, WEATHER, corruption
from experiments.explain import closest
from orchestrator.leaderboard.aggregates import (
    CLASS,
    SUBSETS,
    is_gradual,
    list_cells,
    list_domains,
    list_grid,
    list_rounds,
    list_shifts,
)
from orchestrator.leaderboard.columns import MAIN, bound_values, is_known, list_means, list_measured
from orchestrator.leaderboard.gap import GAP
from orchestrator.leaderboard.reference import is_relative
from orchestrator.leaderboard.row import Score
from orchestrator.scoring import plain_name

_LISTED = 5  # names that a problem lists before it counts the rest


def list_problems(
    scores: Mapping[str, Score], protocol: Mapping[str, Any], runs: int, may_lack: bool = False, is_told: bool = False
) -> list[str]:
    """List what is wrong with the scores of a row.

    Args:
        scores: column -> score.
        protocol: complete, see `orchestrator.leaderboard.entry_protocol`.
        runs: how many runs the row has.
        may_lack: whether cells may be missing, because the row says itself that it is incomplete.
        is_told: whether the scores are somebody's word. An interval of our own may miss its mean: of few images, many
            resamples lack a class.

    Returns:
        Sentences, each with its key and what to change.
    """
    problems = [text for column, score in scores.items() for text in _check_score(column, score, runs)]
    unknown = {column: text for column in scores if (text := _explain_column(column, protocol)) is not None}
    problems += [f"scores.{column}: {text}" for column, text in unknown.items()]
    problems += [text for column, score in scores.items() if is_told for text in _check_interval(column, score)]
    if protocol["kind"] == "benchmark":
        problems += _check_grid(scores, protocol, may_lack)
    return problems


def list_holes(scores: Mapping[str, Score], protocol: Mapping[str, Any]) -> list[str]:
    """List the columns that a row needs to be ranked and that lack a score, or one of a run.

    These are the score that ranks, and what it is the mean of: the clean score and the cells of a benchmark, the domains and
    rounds of a stream. A class of an evaluation may be missing: it need not occur.
    """
    kind = protocol["kind"]
    cells = [] if kind == "evaluate" else list_cells(scores, protocol)
    wanted = [*(("clean",) if kind == "benchmark" else ()), *cells, *(each for each in (MAIN[kind],) if each in scores)]
    nothing = Score(None, None, ())
    found = {column: scores.get(column, nothing) for column in wanted}
    return [column for column, score in found.items() if score.mean is None or None in score.values]


def is_relative_column(column: str) -> bool:
    """Say whether a column compares a row with others of its table, and so is no score of the row itself."""
    return is_relative(column) or column == GAP


def _check_score(column: str, score: Score, runs: int) -> Iterator[str]:
    low, high = bound_values(column)
    numbers = {"mean": score.mean, "low": score.low, "high": score.high}
    numbers |= {f"values.{place}": value for place, value in enumerate(score.values)}
    said: set[float] = set()  # the mean of one run is its value
    for name, value in numbers.items():
        if value is not None and value not in said and not low <= value <= high:
            said.add(value)
            yield f"scores.{column}.{name}: {value:g} is impossible: {_explain_bounds(value, low, high)}."
    if score.std is not None and score.std > high - low:
        yield f"scores.{column}.std: {score.std:g} is impossible: of values in [{low:g}, {high:g}] it is at most {high - low:g}."
    if score.std is not None and score.std < 0:
        yield f"scores.{column}.std: a standard deviation is not negative, got {score.std:g}."
    if score.low is not None and score.high is not None and score.low > score.high:
        yield f"scores.{column}: the interval ends before it begins, [{score.low:g}, {score.high:g}]: exchange the two."
    if score.values and len(score.values) != runs:
        yield f"scores.{column}.values: {len(score.values)} values, but the row has {runs} runs: correct `runs` or the list."
    if score.mean is None and None not in score.values and score.reason is None and not score.values:
        yield f"scores.{column}: there is no score: write a `reason`, or leave the column out."


def _explain_bounds(value: float, low: float, high: float) -> str:
    if value <= 1.0 or high != 1.0:
        return f"it lies in [{low:g}, {high:g}]"
    return (
        f"in percent? shares lie in [0, 1]: write {value / 100:g}"
        if value <= 100.0
        else "neither a share nor a percentage"
    )


def _check_interval(column: str, score: Score) -> Iterator[str]:
    low, high = score.low, score.high
    if score.mean is not None and ((low is not None and score.mean < low) or (high is not None and score.mean > high)):
        yield f"scores.{column}: the mean {score.mean:g} lies outside its interval [{low}, {high}]: correct one of the two."


def _explain_column(column: str, protocol: Mapping[str, Any]) -> str | None:
    """Say why a table of this protocol has no such column; None where it has."""
    kind = protocol["kind"]
    if is_relative_column(column):
        return "this compares the row with another one of its table, which is made anew with each table: leave it out."
    if kind == "benchmark":
        return _explain_benchmark_column(column, protocol)
    if kind == "evaluate" and column.startswith(CLASS):
        return _explain_class(column.removeprefix(CLASS), protocol)
    domains = list_domains(protocol)
    begins = tuple(f"{domain}/" for domain in domains) if is_gradual(protocol) else ()
    if column in domains or column in SUBSETS or (begins and column.startswith(begins)) or is_known(kind, column):
        return None
    names = [*list_means(kind), *domains, *list_measured(kind)]
    return f"unknown column.{_suggest(column, names)} Known: {', '.join(names)}."


def _explain_benchmark_column(column: str, protocol: Mapping[str, Any]) -> str | None:
    if "/" not in column:
        shifts = list_shifts(protocol)
        if is_known("benchmark", column) or column in shifts:
            return None
        names = [*list_means("benchmark"), *shifts, *list_measured("benchmark")]
        return f"unknown column.{_suggest(column, names)} Known: {', '.join(names)}, and cells such as fog/3."
    name, _, severity = column.partition("/")
    if name not in CORRUPTIONS and name not in WEATHER:
        return f"unknown corruption '{name}'.{closest(name, [*CORRUPTIONS, *WEATHER])}"
    grid = list_grid(protocol)
    if not severity.isdecimal() or (name, int(severity)) not in grid:
        return f"this cell is not among the {len(grid)} of protocol '{protocol['protocol']}': remove it, or name another protocol."
    return None


def _suggest(column: str, names: Sequence[str]) -> str:
    """Offer the closest column, whatever its capitals: `mpc` means mPC."""
    alike = [name for name in names if name.lower() == column.lower()]
    return f" Did you mean '{alike[0]}'?" if alike else closest(column, names)


def _explain_class(name: str, protocol: Mapping[str, Any]) -> str | None:
    dataset = protocol["dataset"]["type"]
    classes = [plain_name(each) for each in DATASET_TYPES[dataset].classes] if dataset in DATASET_TYPES else []
    if not classes or name in classes:
        return None
    return f"'{name}' is no class of {dataset}.{closest(name, classes)}"


def _check_grid(scores: Mapping[str, Score], protocol: Mapping[str, Any], may_lack: bool) -> Iterator[str]:
    cells = [f"{name}/{severity}" for name, severity in list_grid(protocol)]
    given = [column for column in scores if "/" in column and not is_relative_column(column)]
    if len(given) > len(cells):
        yield f"scores: {len(given)} of {len(cells)} cells: those that protocol '{protocol['protocol']}' lacks are to be removed."
    missing = [cell for cell in ("clean", *cells) if cell not in scores]
    if missing and not may_lack:
        rest = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        yield (
            f"scores: {len(given)} of {len(cells)} cells, without {', '.join(missing[:_LISTED])}{rest}: give them, or null with a "
            "`reason` (the row is then shown and not ranked)."
        )


def order_columns(columns: Iterable[str], protocol: Mapping[str, Any]) -> list[str]:
    """Return columns in the order of tables that are made from records; those that none has come last, by name."""
    kind, cells = protocol["kind"], [f"{name}/{severity}" for name, severity in list_grid(protocol)]
    families = dict.fromkeys(f"mPC {corruption(name).family}" for name, _ in list_grid(protocol))
    dataset = protocol.get("dataset", {}).get("type")
    classes = DATASET_TYPES[dataset].classes if dataset in DATASET_TYPES else ()
    known = [*list_means(kind), *families, *list_shifts(protocol), *list_domains(protocol)]
    known += [
        *list_rounds(protocol),
        *list_measured(kind),
        *SUBSETS,
        *(f"{CLASS}{plain_name(name)}" for name in classes),
        *cells,
    ]
    places = {name: place for place, name in reversed(list(enumerate(known)))}
    return sorted(columns, key=lambda name: (places.get(name, len(known)), *_split_number(name)))


def _split_number(name: str) -> tuple[str, int]:
    """Return what sorts `round 10` behind `round 9`."""
    text = name.rstrip("0123456789")
    return text, int(name[len(text) :] or 0)
