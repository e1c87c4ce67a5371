"""Lower bounds, worked by hand."""

from __future__ import annotations

from orchestrator.room import Demand
from orchestrator.simulation.bound import find_bound
from orchestrator.simulation.cluster import ClusterSettings, NodeSettings
from orchestrator.simulation.work import Work

CLUSTER = ClusterSettings(nodes={"a": NodeSettings(count=2, cpus=2, gpus=1, memory_gb=8)})


def test_the_longest_chain_and_the_work_of_each_resource() -> None:
    works = [
        Work("train", "train", 10, (), Demand(cpus=1, gpus=0.5)),
        Work("wide", "train", 4, (), Demand(cpus=2), workers=2),
        Work("score", "score", 3, ("train", "cached")),
        Work("note", "note", 9, ("wide",), Demand(cpus=1)),
    ]
    bound = find_bound(works, CLUSTER)
    assert bound.path == ("train", "score")
    assert bound.path_s == 13
    assert bound.work_s == {"CPU": (10 + 2 * 2 * 4 + 9) / 4, "GPU": 10 * 0.5 / 2}
    assert bound.seconds == 13


def test_nothing_to_do_takes_no_time() -> None:
    bound = find_bound([], CLUSTER)
    assert (bound.path, bound.seconds) == ((), 0.0)
