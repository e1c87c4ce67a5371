"""Packing by what was measured."""

from __future__ import annotations

import pytest

from experiments.schema import ResourceSettings
from orchestrator.profiles import MemoryProfile, add_profile, add_profiles, pack, read_profiles
from orchestrator.store import Store
from orchestrator.sweep_state import Status, survey

GIB = 2**30


def test_a_measured_stage_asks_for_its_share_of_a_gpu_and_for_its_memory() -> None:
    profile = MemoryProfile(memory_bytes=2 * GIB, gpu_memory_bytes=10 * GIB, gpu_total_bytes=80 * GIB)
    packed = pack(ResourceSettings(cpus=4, gpus=1, pack=True), profile)
    # (1.15 * 10 GiB + 600 MiB) / 80 GiB = 0.151, up to the next twentieth; 1.15 * 2 GiB
    assert (packed.gpus, packed.memory_gb, packed.cpus) == (0.2, pytest.approx(2.3), 4)


def test_what_is_written_is_never_exceeded_and_what_is_not_asked_for_stays() -> None:
    profile = MemoryProfile(memory_bytes=GIB, gpu_memory_bytes=70 * GIB, gpu_total_bytes=80 * GIB)
    assert pack(ResourceSettings(gpus=0.5, pack=True), profile).gpus == 0.5
    assert pack(ResourceSettings(gpus=2, pack=True), profile).gpus == 2
    assert pack(ResourceSettings(pack=True), profile).gpus == 0
    assert pack(ResourceSettings(memory_gb=7, pack=True), profile).memory_gb == 7
    unpacked = ResourceSettings(gpus=1)
    assert pack(unpacked, profile) == unpacked
    assert pack(ResourceSettings(gpus=1, pack=True), None).gpus == 1


def test_the_largest_measurement_counts_and_another_gpu_starts_anew(store: Store) -> None:
    for memory, gpu, total in ((3, 5, 80), (2, 9, 80)):
        profile = MemoryProfile(memory_bytes=memory * GIB, gpu_memory_bytes=gpu * GIB, gpu_total_bytes=total * GIB)
        add_profile(store, "e/full/s", profile)
    assert read_profiles(store)["e/full/s"] == MemoryProfile(
        memory_bytes=3 * GIB, gpu_memory_bytes=9 * GIB, gpu_total_bytes=80 * GIB
    )
    other = MemoryProfile(memory_bytes=GIB, gpu_memory_bytes=4 * GIB, gpu_total_bytes=24 * GIB)
    add_profile(store, "e/full/s", other)
    assert read_profiles(store)["e/full/s"] == other.model_copy(update={"memory_bytes": 3 * GIB})


def test_a_sweep_keeps_what_its_records_say(store: Store, make_task, make_graph, make_record) -> None:
    task, failed = make_task("a", "train"), make_task("b", "train", seed=1)
    graph = make_graph(task, failed)
    state = survey(graph, store)
    store.folder(task.key).mkdir(parents=True)
    store.commit(make_record(task, peak_memory_bytes=5 * GIB, environment={"gpu_memory_bytes": []}))
    state.status.update({task.key: Status.DONE, failed.key: Status.FAILED})
    add_profiles(store, state)
    assert read_profiles(store) == {"byhand/full/a": MemoryProfile(memory_bytes=5 * GIB)}


def test_a_damaged_note_is_no_reason_to_fail(store: Store) -> None:
    store.write_note("profiles.json", '{"a": 3}')
    assert read_profiles(store) == {}
