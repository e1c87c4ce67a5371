"""Stages and leaderboards that are not understood are refused with their lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.graph import Graph
from tests.experiments.samples import FULL, edit

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "    kind: train",
            "    kind: trian #!",
            "HERE stages.source_only.kind: unknown stage kind 'trian'. Did you mean 'train'? "
            "Known: benchmark, evaluate, fisher, leaderboard, stream, styles, train, uda.",
        ),
        ("    kind: train", "    kind: [train] #!", "HERE stages.source_only.kind: unknown stage kind '['train']'."),
        (
            "  source_only:\n    kind: train\n",
            "  source_only: #!\n",
            "HERE stages.source_only: the key `kind` is required and missing. Known: benchmark, ",
        ),
        (
            "  source_only:\n    kind: train\n    label: source only\n    model: student\n    dataset: source\n",
            "  source_only:\n    kind: train\n    label: source only\n    model: student\n    dataset: sorce #!\n",
            "HERE stages.source_only.dataset: unknown data set 'sorce'. Did you mean 'source'? "
            "Known: fog, snow, source, target, test.",
        ),
        (
            "    label: source only\n    model: student",
            "    model: studnet #!",
            "HERE stages.source_only.model: unknown model 'studnet'. Did you mean 'student'? Known: student.",
        ),
        (
            "    protocol: quick",
            "    protocol: quik #!",
            "HERE stages.grid.protocol: unknown protocol 'quik'",
        ),
        (
            "  seed: [0, 1]",
            "  seed: [0, 1]\n  sead: [2, 3] #!",
            "HERE unknown axis (no stage uses it) 'sead'. Did you mean 'seed'? Known: method, seed, trained.",
        ),
        (
            "  grid:\n    kind: benchmark\n",
            "  grid:\n    kind: benchmark\n    matrix: {limt: [1]} #!\n    limit: 3\n",
            "HERE stages.grid.matrix.limt: unknown axis (the stage does not use it) 'limt'. Known: none.",
        ),
        (
            "  adapted:\n    kind: uda\n    resources: {gpus: 0.5}\n    model: student\n    source: source\n    target: target\n"
            "    seed: ${matrix.seed}",
            "  adapted: #!\n    kind: uda\n    model: student\n    source: source\n    target: target\n"
            "    seed: ${matrix.sed}",
            "HERE stages.adapted: unknown axis of the matrix 'sed'. Did you mean 'seed'? Known: seed.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${adaptd.checkpoint} #!",
            "HERE stages.grid.checkpoint: unknown stage in ${adaptd.checkpoint} 'adaptd'. Did you mean 'adapted'? "
            "Known: adapted, board, clean, grid, source_only, weather.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.chekpoint} #!",
            "HERE stages.grid.checkpoint: unknown output of stage 'adapted' 'chekpoint'. Did you mean 'checkpoint'? "
            "Known: checkpoint.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${clean.checkpoint} #!",
            "HERE stages.grid.checkpoint: unknown output of stage 'clean' 'checkpoint'. Known: none.",
        ),
        (
            "    checkpoint: ${adapted.checkpoint}\n    dataset: test\n    protocol",
            "    checkpoint: adapted #!\n    dataset: test\n    protocol",
            "HERE stages.grid.checkpoint: write ${STAGE.checkpoint} and no more, got 'adapted'.",
        ),
        (
            "    checkpoint: ${adapted.checkpoint}\n    dataset: test\n    protocol",
            "    checkpoint: best of ${adapted.checkpoint} #!\n    dataset: test\n    protocol",
            "HERE stages.grid.checkpoint: write ${STAGE.checkpoint} and no more, got 'best of ${adapted.checkpoint}'.",
        ),
        (
            "    label: source only\n    model: student",
            "    model: ${adapted.checkpoint} #!",
            "HERE stages.source_only.model: only `checkpoint` takes the output of a stage, got ${adapted.checkpoint}.",
        ),
        (
            "  grid:\n    kind: benchmark\n",
            "  grid: #!\n    kind: benchmark\n    model: student\n",
            "HERE stages.grid: give either `checkpoint: ${STAGE.checkpoint}` or `model: NAME`, and only one of them.",
        ),
        (
            "  board: {kind: leaderboard, needs: [clean, weather, grid]}",
            "  board: {kind: leaderboard, needs: [clean, weathr]} #!",
            "HERE stages.board.needs: unknown scored stage 'weathr'. Did you mean 'weather'? Known: clean, grid, weather.",
        ),
        (
            "  board: {kind: leaderboard, needs: [clean, weather, grid]}",
            "  board: {kind: leaderboard, needs: [adapted]} #!",
            "HERE stages.board.needs: unknown scored stage 'adapted'.",
        ),
        (
            '    matrix: {trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]}\n',
            '    matrix: {trained: ["${adapted.checkpoint}"], exclude: [{seed: 0}]} #!\n',
            "HERE stages.clean.matrix: `exclude` names 'seed', which is no axis of this matrix (its axes: trained).",
        ),
    ],
)
def test_a_stage_that_is_not_understood_is_refused_with_its_line(refuse: Refuse, old: str, new: str, line: str) -> None:
    assert FULL.count(old) == 1, old
    lines = refuse(FULL.replace(old, new))
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_the_ends_of_a_gap_are_training_stages(expand_text: Expand, refuse: Refuse) -> None:
    board = "  board: {kind: leaderboard, needs: [clean, weather, grid]}"
    gap = "  board: {kind: leaderboard, needs: [clean], gap: {source: source_only, oracle: %s}}"
    (made,) = expand_text(edit(FULL, (board, gap % "adapted"))).leaderboards.values()
    assert made.gap is not None
    assert (made.gap.source, made.gap.oracle) == ("source_only", "adapted")
    (line,) = refuse(edit(FULL, (board, gap % "clean" + " #!")))
    assert line.startswith("HERE stages.board.gap.oracle: unknown training stage 'clean'. Known: adapted, source_only.")
