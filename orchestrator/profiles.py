"""How much memory a stage was measured to need, from `segshift profile` and from earlier records, and packing by it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from pydantic import ValidationError

from adapt.settings import Settings
from experiments.expansion import SEARCH_SUFFIX
from experiments.graph import Graph
from experiments.schema import ResourceSettings
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.costs import name_cost
from orchestrator.record import Record
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState

FILE = "profiles.json"
HEADROOM = 1.15  # ours: what the allocators of CUDA and the C library keep beyond what was measured
GPU_STEP = 0.05  # ours: shares of a GPU are rounded up to it, so that few shapes of requests are queued
CONTEXT_BYTES = 600 * 2**20  # ours: CUDA's context and its libraries, which torch does not count


class MemoryProfile(Settings):
    """The most that a task of a stage was measured to hold.

    Attributes:
        memory_bytes: resident memory of its process.
        gpu_memory_bytes: GPU memory that torch held; None without a GPU.
        gpu_total_bytes: of the GPU that it was measured on; None without a GPU.
    """

    memory_bytes: int
    gpu_memory_bytes: int | None = None
    gpu_total_bytes: int | None = None

    def __str__(self) -> str:
        text = f"{self.memory_bytes / 2**30:.2f} GiB of memory"
        if self.gpu_memory_bytes is not None and self.gpu_total_bytes:
            text += f", {self.gpu_memory_bytes / 2**30:.2f} of {self.gpu_total_bytes / 2**30:.0f} GiB of its GPU"
        return text

    def cover(self, other: MemoryProfile) -> MemoryProfile:
        """Return a profile that holds for both; GPU memory is that of the newer one's GPU where these differ in size."""
        if other.gpu_total_bytes != self.gpu_total_bytes and other.gpu_total_bytes is not None:
            return other.model_copy(update={"memory_bytes": max(self.memory_bytes, other.memory_bytes)})
        peaks = [p.gpu_memory_bytes for p in (self, other) if p.gpu_memory_bytes is not None]
        return self.model_copy(
            update={
                "memory_bytes": max(self.memory_bytes, other.memory_bytes),
                "gpu_memory_bytes": max(peaks, default=None),
            }
        )


def read_profiles(store: Store) -> dict[str, MemoryProfile]:
    """Return measured profiles by stage (`name_cost`); empty where nothing was measured yet."""
    try:
        raw = json.loads(store.read_note(FILE) or "{}")
        return {name: MemoryProfile.model_validate(profile) for name, profile in raw.items()}
    except (json.JSONDecodeError, ValidationError, AttributeError):
        return {}


def name_profile(graph: Graph, task: Task) -> str:
    """Return under which name the measurements of a task's stage are kept; a search for a stream's method holds what that holds."""
    return name_cost(graph.name, graph.variant, task.stage.removesuffix(SEARCH_SUFFIX))


def add_profile(store: Store, name: str, profile: MemoryProfile) -> None:
    """Keep a measurement of a stage (`name_profile`) beside those that are there."""
    _keep(store, [(name, profile)])


def add_profiles(store: Store, state: SweepState) -> None:
    """Keep what the tasks of a sweep were measured to hold."""
    measured = []
    for key, status in state.status.items():
        task = state.graph.tasks[key]
        if status is Status.DONE and find_search(task.settings) is None:  # a search's own process only waits for trials
            profile = profile_record(store.read(key))
            if profile is not None:
                measured.append((name_profile(state.graph, task), profile))
    if measured:
        _keep(store, measured)


def _keep(store: Store, measured: Iterable[tuple[str, MemoryProfile]]) -> None:
    profiles = read_profiles(store)
    for name, profile in measured:
        profiles[name] = profiles[name].cover(profile) if name in profiles else profile
    store.write_note(FILE, json.dumps({name: profile.model_dump() for name, profile in profiles.items()}, indent=1))


def profile_record(record: Record) -> MemoryProfile | None:
    """Return what a record says of its task's memory, or None where it says nothing."""
    if record.peak_memory_bytes is None:
        return None
    totals = record.environment.get("gpu_memory_bytes") or []
    return MemoryProfile(
        memory_bytes=record.peak_memory_bytes,
        gpu_memory_bytes=record.peak_gpu_memory_bytes if totals else None,
        gpu_total_bytes=min(totals) if totals else None,
    )


def pack(wanted: ResourceSettings, profile: MemoryProfile | None) -> ResourceSettings:
    """Return what a task asks for: less of a GPU, and a reservation of memory, where its stage was measured.

    Args:
        wanted: of its stage; without `pack` it is returned as it is, and so it is without a measurement.
        profile: the measurement, or None.
    """
    if not wanted.pack or profile is None:
        return wanted
    updates: dict[str, float] = {}
    if wanted.memory_gb is None:
        updates["memory_gb"] = HEADROOM * profile.memory_bytes / 2**30
    if 0 < wanted.gpus <= 1 and profile.gpu_memory_bytes is not None and profile.gpu_total_bytes:
        share = (HEADROOM * profile.gpu_memory_bytes + CONTEXT_BYTES) / profile.gpu_total_bytes
        updates["gpus"] = min(wanted.gpus, round(math.ceil(share / GPU_STEP - 1e-9) * GPU_STEP, 2))
    return wanted.model_copy(update=updates)
