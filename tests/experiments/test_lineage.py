"""What makes two results runs of one entry."""

from __future__ import annotations

from collections.abc import Callable

from experiments.graph import Graph
from experiments.lineage import describe_lineage
from tests.experiments.samples import FULL, edit

Expand = Callable[..., Graph]


def list_lineages(graph: Graph, stage: str) -> list[list[object]]:
    return [describe_lineage(graph.tasks, task) for task in graph.nodes if task.stage == stage]


def test_seeds_of_training_are_left_out_and_all_else_is_kept(expand_text: Expand) -> None:
    graph = expand_text(FULL)
    first, second = list_lineages(graph, "grid")
    assert first == second
    networks = list_lineages(graph, "clean")  # two seeds of two networks
    assert len({str(lineage) for lineage in networks}) == 2
    assert all(lineage[:3] == networks[0][:3] for lineage in networks)
    (changed, _) = list_lineages(
        expand_text(edit(FULL, ("training: {iterations: 10}", "training: {iterations: 11}"))), "grid"
    )
    assert changed[:3] == first[:3]
    assert changed != first


def test_the_seed_of_a_benchmark_is_its_own(expand_text: Expand) -> None:
    text = edit(FULL, ("    protocol: quick\n", "    protocol: quick\n    seed: ${matrix.seed}\n"))
    first, second = list_lineages(expand_text(text), "grid")
    assert first[:3] != second[:3]
