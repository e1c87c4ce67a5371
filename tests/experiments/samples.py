"""Experiment files that several tests expand."""

from __future__ import annotations

from experiments.graph import Graph

TINY = """\
title: the smallest experiment that scores something
datasets:
  test: {type: cityscapes, split: val}
models:
  net: {config: cgnet_small}
stages:
  clean: {kind: evaluate, model: net, dataset: test}
"""


# Two seeds of two training stages; each network is scored in three stages, one of which has two methods.
FULL = """\
title: a graph that is counted by hand
datasets:
  source: {type: gta, split: train}
  target: {type: cityscapes, split: train}
  test: {type: cityscapes, split: val, resize: [64, 32]}
  fog: {type: acdc, split: val, subset: [fog]}
  snow: {type: acdc, split: val, subset: [snow]}
models:
  student: {config: cgnet_small, weights: some.pth}
matrix:
  seed: [0, 1]
resources: {cpus: 4, gpus: 1}
stages:
  board: {kind: leaderboard, needs: [clean, weather, grid]}
  clean:
    kind: evaluate
    matrix: {trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]}
    checkpoint: ${matrix.trained}
    dataset: test
  weather:
    kind: stream
    matrix:
      trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]
      method: [{name: source}, {name: tent, lr: 1.0e-4}]
    checkpoint: ${matrix.trained}
    method: ${matrix.method}
    stream: {kind: continual, domains: [{dataset: fog}, {dataset: snow}]}
  grid:
    kind: benchmark
    checkpoint: ${adapted.checkpoint}
    dataset: test
    protocol: quick
  source_only:
    kind: train
    label: source only
    model: student
    dataset: source
    seed: ${matrix.seed}
    training: {iterations: 10, optimizer: {lr: 0.001}}
  adapted:
    kind: uda
    resources: {gpus: 0.5}
    model: student
    source: source
    target: target
    seed: ${matrix.seed}
    training: {iterations: 10}
    method: {feature_distance: null}
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def keys(graph: Graph, stage: str) -> list[str]:
    return [task.key for task in graph.nodes if task.stage == stage]
