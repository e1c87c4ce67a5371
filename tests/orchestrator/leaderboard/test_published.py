"""Published tables are whole, cited, and what they derive follows from their cells by our formulas."""

from __future__ import annotations

from statistics import fmean

import pytest

from adapt.scores.degradation import Reference, mean_degradation, mean_relative_degradation
from adapt.scores.robustness import mean_corrupted, relative_corrupted
from corruptions.protocol import protocol
from orchestrator.leaderboard.published import PublishedTable, choose_published, list_published

# Of the robustness table, by hand from its cells and with more digits than it shows: mean of 16, retention, CD and rCD in percent.
DERIVED = {
    "DLv3+ R50": (36.819, 48.07, 112.73, 118.01),
    "DLv3+ R101": (39.425, 51.13, 108.80, 113.83),
    "DLv3+ X71": (43.200, 54.96, 100.0, 100.0),
    "PSPNet": (34.575, 43.88, 118.71, 139.94),
    "GSCNN": (39.975, 49.41, 104.05, 113.10),
    "SegFormer-B5": (65.812, 79.87, 62.05, 47.40),
}


def find(title: str) -> PublishedTable:
    (table,) = [table for table in list_published() if table.title.startswith(title)]
    return table


def test_every_table_is_cited_and_whole() -> None:
    tables = list_published()
    assert len(tables) == 5
    for table in tables:
        assert table.source
        assert table.url.startswith("https://")
        assert table.note
        assert len({row.name for row in table.rows}) == len(table.rows)
        assert all(len(row.values) == len(table.columns) for row in table.rows)
        known = [value for row in table.rows for value in row.values if value is not None]
        assert all(0 < value < 150 for value in known)


def test_the_robustness_table_has_the_corruptions_of_its_protocol() -> None:
    table = find("Cityscapes-C")
    names = dict.fromkeys(name for name, _ in protocol("segformer").cells)
    assert table.columns == ("clean", *names, "mean of 16", "retention", "CD", "rCD")
    assert len(table.rows) == 13


@pytest.mark.parametrize("place", range(13))
def test_what_the_robustness_table_derives_follows_from_its_cells(place: int) -> None:
    table = find("Cityscapes-C")
    names = table.columns[1:17]
    cells = [(name, 1) for name in names]  # one number a corruption: a mean over severities already

    def read(values: tuple[float | None, ...]) -> tuple[float, dict[tuple[str, int], float]]:
        shares = [(value or 0.0) / 100 for value in values]
        return shares[0], dict(zip(cells, shares[1:17], strict=True))

    (base,) = [row for row in table.rows if row.name == "DLv3+ X71"]
    row = table.rows[place]
    clean, grid = read(row.values)
    reference = Reference(base.name, *read(base.values))
    derived = (
        mean_corrupted(grid, cells),
        relative_corrupted(grid, clean, cells),
        mean_degradation(grid, reference, cells),
        mean_relative_degradation(grid, clean, reference, cells),
    )
    assert row.values[17:] == pytest.approx([100 * value for value in derived], abs=0.0501)
    if row.name in DERIVED:
        assert [100 * value for value in derived] == pytest.approx(DERIVED[row.name], abs=0.0051)


def test_the_mean_of_the_stream_without_drift_is_that_of_its_domains() -> None:
    table = find("Cityscapes to ACDC, continual")
    rows = {row.name: row.values for row in table.rows}
    for name in ("source", "bn_train"):
        known = [value for value in rows[name][:8] if value is not None]
        assert rows[name][8] == pytest.approx(fmean(known), abs=0.0501)


def test_only_what_is_context_is_chosen() -> None:
    chosen = choose_published({("benchmark", "cityscapes"), ("stream", "camvid")})
    assert [table.title[:12] for table in chosen] == ["Cityscapes-C"]
    assert choose_published(set()) == ()
