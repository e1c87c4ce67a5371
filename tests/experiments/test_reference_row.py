"""The row that others are compared with: named by a stage and a point, and refused where it is none or several."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.graph import Graph
from experiments.reference_row import list_reference_tasks
from tests.experiments.samples import edit

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

# Two networks under two normalisations, three times each; the leaderboard stands before what it shows.
AXES = """\
title: which row is the reference
datasets:
  source: {type: gta, split: train}
  test: {type: cityscapes, split: val}
models:
  small_bn: {config: cgnet_small}
  small_gn: {config: cgnet_small, overrides: {a: 1}}
  large_bn: {config: cgnet_large}
  large_gn: {config: cgnet_large, overrides: {a: 1}}
matrix:
  network: [small, large]
  norm: [bn, gn]
  draw: [0, 1, 2]
stages:
  board: {kind: leaderboard, needs: [clean, grid], reference: {stage: grid, at: {network: small, norm: gn}}}
  trained:
    kind: train
    label: ${matrix.network} ${matrix.norm}
    model: ${matrix.network}_${matrix.norm}
    dataset: source
    seed: ${matrix.draw}
    training: {iterations: 10}
  grid: {kind: benchmark, checkpoint: "${trained.checkpoint}", dataset: test, protocol: quick}
  clean: {kind: evaluate, checkpoint: "${trained.checkpoint}", dataset: test}
profiles:
  full: {}
  other:
    stages: {board: {reference: {at: {network: large}}}}
"""
REFERENCE = "reference: {stage: grid, at: {network: small, norm: gn}}}"


def list_points(graph: Graph) -> list[dict[str, object]]:
    reference = graph.leaderboards["board"].reference
    assert reference is not None
    return [dict(task.point) for task in list_reference_tasks(reference, graph.nodes)]


@pytest.mark.parametrize(("profile", "network"), [("full", "small"), ("other", "large")])
def test_a_point_of_the_axes_means_all_runs_of_a_row(expand_text: Expand, profile: str, network: str) -> None:
    found = list_points(expand_text(AXES, profile=profile))
    assert found == [{"network": network, "norm": "gn", "draw": draw} for draw in (0, 1, 2)]


def test_a_stage_of_one_row_needs_no_point(expand_text: Expand) -> None:
    text = edit(AXES, (REFERENCE, "reference: grid}"), ("[small, large]", "[large]"), ("norm: [bn, gn]", "norm: [gn]"))
    assert len(list_points(expand_text(text))) == 3
    graph = expand_text(edit(text, ("reference: grid", "reference: null")))
    assert graph.leaderboards["board"].reference is None


def test_rows_of_different_tables_do_not_clash(expand_text: Expand) -> None:
    """Another limit, another protocol: a table each, with a reference each."""
    text = edit(
        AXES,
        ("protocol: quick}", "protocol: quick, matrix: {limit: [1, 2]}, limit: '${matrix.limit}'}"),
    )
    assert len(list_points(expand_text(text))) == 6


def test_values_may_be_given_as_names_show_them(expand_text: Expand) -> None:
    text = edit(
        AXES,
        ('checkpoint: "${trained.checkpoint}", dataset: test, protocol', "checkpoint: '${matrix.of}', dataset: test, protocol"),
        ("protocol: quick}", "protocol: quick, matrix: {of: ['${trained.checkpoint}', '${more.checkpoint}']}}"),
        ("  trained:\n", "  more: {kind: train, model: large_bn, dataset: source, training: {iterations: 9}}\n  trained:\n"),
    )  # fmt: skip
    for value in ("more", "'${more.checkpoint}'"):
        (point,) = list_points(expand_text(edit(text, ("{network: small, norm: gn}", f"{{of: {value}}}"))))
        assert point == {"of": "${more.checkpoint}"}


PLACE = "HERE stages.board.reference"


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        ("gird", f"{PLACE}: unknown benchmark stage among `needs` 'gird'. Did you mean 'grid'? Known: grid."),
        ("clean", f"{PLACE}: unknown benchmark stage among `needs` 'clean'. Known: grid."),
        (
            "{stage: gird, at: {norm: gn}}",
            f"{PLACE}.stage: unknown benchmark stage among `needs` 'gird'. Did you mean 'grid'? Known: grid.",
        ),
        ("{at: {norm: gn}}", f"{PLACE}.stage: this key is required and missing."),
        ("{stage: grid, att: {norm: gn}}", f"{PLACE}.att: unknown key 'att'. Did you mean 'at'? Allowed here: at, stage."),
        ("[grid]", f"{PLACE}: a mapping is wanted here, as in {{key: value}}."),
        (
            "{stage: grid, at: {network: small, nrom: gn}}",
            f"{PLACE}.at.nrom: unknown axis of stage 'grid' 'nrom'. Did you mean 'norm'? Known: draw, network, norm.",
        ),
        (
            "{stage: grid, at: {network: smal, norm: gn}}",
            f"{PLACE}.at.network: unknown value of axis 'network' 'smal'. Did you mean 'small'? Known: large, small.",
        ),
        (
            "{stage: grid, at: {network: small, norm: gn, draw: 1}}",
            f"{PLACE}.at.draw: 'draw' tells the runs of one row apart, and rows are compared with all of its runs. Leave it out.",
        ),
        (
            "{stage: grid, at: {norm: gn}}",
            f"{PLACE}: stage 'grid' at norm=gn has 2 rows in a table, which differ in network, and one is wanted. Write "
            "`{stage: grid, at: {norm: gn, network: small}}`, or other values.",
        ),
        (
            "grid",
            f"{PLACE}: stage 'grid' has 4 rows in a table, which differ in network, norm, and one is wanted. Write "
            "`{stage: grid, at: {network: small, norm: bn}}`, or other values.",
        ),
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused(refuse: Refuse, reference: str, line: str) -> None:
    text = edit(AXES, (REFERENCE, f"reference: {reference}}} #!"))
    assert refuse(text) == [line]


def test_a_point_that_was_dropped_is_refused(refuse: Refuse) -> None:
    text = edit(AXES, ("  draw: [0, 1, 2]\n", "  draw: [0]\n  exclude: [{network: small, norm: gn}]\n"))
    (line,) = refuse(edit(text, (REFERENCE, f"{REFERENCE} #!")))
    assert line.startswith(f"{PLACE}.at: stage 'grid' at network=small, norm=gn has no task: the matrix does not hold")
