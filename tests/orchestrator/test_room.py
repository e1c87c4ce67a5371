"""Free capacity: fractions of GPUs, labels, and which node is found."""

from __future__ import annotations

import pytest

from experiments.schema import ResourceSettings
from orchestrator.capacity import Machine
from orchestrator.room import Demand, Room, read_demand


def make_room(*amounts: dict[str, float], labels: dict[str, str] | None = None) -> Room:
    return Room([Machine(each, labels or {}) for each in amounts])


def test_the_first_node_with_room_is_found() -> None:
    room = make_room({"CPU": 2}, {"CPU": 4}, {"CPU": 4})
    shape = room.shape(Demand(cpus=3))
    assert room.find(shape, 1) == [1]
    place = room.take(shape, 1)
    assert room.find(shape, 1) == [2]
    room.take(shape, 2)
    assert room.find(shape, 1) is None
    room.release(shape, place)
    assert room.find(shape, 1) == [1]
    room.set_up(1, False)
    assert room.find(shape, 1) is None


def test_a_fraction_must_fit_one_gpu() -> None:
    """0.6 + 0.6 leaves 0.4 + 0.4 of two GPUs: neither a third 0.6 nor a whole one, but two of 0.4."""
    room = make_room({"CPU": 8, "GPU": 2})
    large, small, whole = (room.shape(Demand(gpus=gpus)) for gpus in (0.6, 0.4, 1))
    for _ in range(2):
        room.take(large, 0)
    assert not room.fits(large, 0)
    assert not room.fits(whole, 0)
    assert room.count_places(small, 0) == 2
    for _ in range(2):
        room.take(small, 0)
    assert not room.fits(room.shape(Demand(gpus=0.0001)), 0)


def test_a_fraction_goes_where_it_leaves_least() -> None:
    room = make_room({"GPU": 2})
    first = room.take(room.shape(Demand(gpus=0.5)), 0)
    room.take(room.shape(Demand(gpus=0.25)), 0)
    assert room.fits(room.shape(Demand(gpus=1)), 0), "the quarter was put on the GPU that was still whole"
    room.release(room.shape(Demand(gpus=0.5)), first)
    assert room.count_places(room.shape(Demand(gpus=0.25)), 0) == 7


def test_tenths_add_up() -> None:
    room = make_room({"CPU": 1, "GPU": 1})
    shape = room.shape(Demand(cpus=0.1, gpus=0.1))
    assert room.count_places(shape, 0) == 10
    for _ in range(10):
        assert room.fits(shape, 0)
        room.take(shape, 0)
    assert not room.fits(shape, 0)


def test_workers_sit_on_several_nodes_or_nowhere() -> None:
    room = make_room({"CPU": 4, "GPU": 1}, {"CPU": 4}, {"CPU": 8, "GPU": 4})
    shape = room.shape(Demand(cpus=2, gpus=1))
    assert room.find(shape, 4) == [0, 2, 2, 2]
    assert room.find(shape, 5) == [0, 2, 2, 2, 2]
    assert room.find(shape, 6) is None


@pytest.mark.parametrize(
    ("wanted", "found"), [("h100", [1]), ("!h100", [0]), ("in(a100, h100)", [1]), ("!in(h100)", [0]), ("a100", None)]
)
def test_labels_choose_nodes(wanted: str, found: list[int] | None) -> None:
    room = Room([Machine({"CPU": 1}), Machine({"CPU": 1}, {"gpu": "h100"})])
    assert room.find(room.shape(Demand(cpus=1, labels=(("gpu", wanted),))), 1) == found


def test_custom_resources_and_memory_are_counted() -> None:
    room = make_room({"CPU": 8, "GB": 10, "licence": 1}, {"CPU": 8, "GB": 10})
    wanted = ResourceSettings(cpus=1, memory_gb=4, custom={"licence": 1})
    demand = read_demand(wanted)
    assert demand.amounts == {"CPU": 1, "GB": 4, "licence": 1}
    assert room.find(room.shape(demand), 1) == [0]
    assert room.find(room.shape(demand), 2) is None
    assert room.count_places(room.shape(Demand(memory_gb=4)), 1) == 2
    assert room.find(room.shape(Demand(custom=(("unknown", 1.0),))), 1) is None
    assert str(Demand(cpus=0.5, labels=(("gpu", "h100"),))) == "0.5 CPU, gpu=h100"
