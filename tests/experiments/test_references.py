"""References between stages: axes that are handed on, points that are excluded, and what is refused with its line."""

from __future__ import annotations

from collections.abc import Callable

from experiments.graph import Graph
from tests.experiments.samples import FULL, edit

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

EXCLUDING = """\
title: exclusions
datasets: {source: {type: gta, split: train}, test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
matrix: {seed: [0, 1]}
stages:
  train:
    kind: train
    matrix: {lr: [0.1, 0.2]}
    model: net
    dataset: source
    seed: ${matrix.seed}
    training: {optimizer: {lr: "${matrix.lr}"}}
  clean:
    kind: evaluate
    matrix: {lr: [0.1, 0.2]}
    checkpoint: ${train.checkpoint}
    dataset: test
"""


def test_an_axis_of_an_input_is_an_axis_of_the_stage(expand_text: Expand) -> None:
    graph = expand_text(EXCLUDING)
    named = {task.name: task for task in graph.nodes}
    assert len(graph.tasks) == 8
    assert named["clean[seed=1, lr=0.2]"].inputs["checkpoint"] == named["train[seed=1, lr=0.2]"].key


def test_an_excluded_point_drops_its_tasks(expand_text: Expand) -> None:
    text = edit(EXCLUDING, ("{lr: [0.1, 0.2]}", "{lr: [0.1, 0.2], exclude: [{lr: 0.1}]}"))
    assert [task.name for task in expand_text(text).nodes] == [
        "train[seed=0, lr=0.2]",
        "train[seed=1, lr=0.2]",
        "clean[seed=0, lr=0.2]",
        "clean[seed=1, lr=0.2]",
    ]


def test_an_input_at_an_excluded_point_is_refused(refuse: Refuse) -> None:
    text = EXCLUDING.replace("{lr: [0.1, 0.2]}", "{lr: [0.1, 0.2], exclude: [{lr: 0.1}]}", 1)
    (line,) = refuse(edit(text, ("  clean:", "  clean: #!")))
    assert line.startswith("HERE stages.clean: ${train.checkpoint} has no task at {'seed': 0, 'lr': 0.1}: ")
    assert "`exclude`" in line


def test_an_ambiguous_reference_names_the_axis_to_add(refuse: Refuse) -> None:
    text = edit(
        EXCLUDING, ("    matrix: {lr: [0.1, 0.2]}\n    checkpoint", "    checkpoint"), ("  clean:", "  clean: #!")
    )
    (line,) = refuse(text)
    assert line == (
        "HERE stages.clean: ${train.checkpoint} means 2 tasks here, which differ in lr. "
        "Give this stage the same axis: matrix.lr."
    )


def test_a_circle_of_stages_is_shown(refuse: Refuse) -> None:
    text = edit(
        FULL,
        ("    label: source only\n", "    label: ${adapted.checkpoint}\n"),
        ("  adapted:\n    kind: uda\n", "  adapted:\n    kind: uda\n    label: ${source_only.checkpoint}\n"),
        ("  source_only:\n", "  source_only: #!\n"),
    )
    assert refuse(text) == [
        "HERE stages.source_only: the stages refer to each other in a circle: source_only -> adapted -> source_only. "
        "Break it."
    ]
