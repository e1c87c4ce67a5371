"""The file of counts, read by numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.stages.counts_file import NAME, CountsFile, save_counts


def test_blocks_are_read_as_one_array(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 2**40, (7, 3, 3))
    with CountsFile(tmp_path) as file:
        file.write_frames(["a", "längerer name"])
        file.write_frames(["c"], "shift/night")
        file.write_cell("fog/3", 7, 3, (counts[first : first + 2] for first in range(0, 7, 2)))
    with np.load(tmp_path / NAME, allow_pickle=False) as found:
        assert found["frames"].tolist() == ["a", "längerer name"]
        assert found["frames:shift/night"].tolist() == ["c"]
        assert found["cell:fog/3"].dtype == np.int64
        assert np.array_equal(found["cell:fog/3"], counts)


def test_cells_in_memory_are_written_the_same_way(tmp_path: Path) -> None:
    counts = {"clean": np.arange(18).reshape(2, 3, 3), "1/fog": np.arange(9).reshape(1, 3, 3)}
    save_counts(tmp_path, ["a", "b"], counts)
    with np.load(tmp_path / NAME, allow_pickle=False) as found:
        assert sorted(found) == ["cell:1/fog", "cell:clean", "frames"]
        assert all(np.array_equal(found[f"cell:{name}"], values) for name, values in counts.items())
