"""What Ray Tune reserves on the cluster for the trials of a search, under a name by which it can be freed.

Ray keeps what a task has reserved until the sweep ends, even when the task dies: the search's next attempt, and then every
other task, would wait for it for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from pathlib import Path

import ray
from ray.tune import PlacementGroupFactory
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from experiments.schema import ResourceSettings
from orchestrator.request import list_bundle


class NamedFactory(PlacementGroupFactory):
    """Makes what one trial holds, each under a name of its own that begins with the search's."""

    def to_placement_group(self) -> PlacementGroup:
        """Reserve the resources of a trial."""
        named = {**self._kwargs, "name": f"{self._kwargs['name']}{uuid.uuid4().hex}"}
        return placement_group(self.bundles, self.strategy, **named)


def request_resources(wanted: ResourceSettings, scratch: Path) -> NamedFactory:
    """Return what each trial of the search with this scratch folder asks Ray for."""
    labels = [dict(wanted.labels)] if wanted.labels else None
    return NamedFactory([list_bundle(wanted)], name=name_search(scratch), bundle_label_selector=labels)


def free_resources(scratch: Path) -> None:
    """Free what an attempt of the search with this scratch folder that died had reserved, if anything."""
    for entry in placement_group_table().values():
        if entry["name"].startswith(name_search(scratch)) and entry["state"] != "REMOVED":
            with contextlib.suppress(
                ValueError
            ):  # another driver's: only its own job finds it, and it goes with that job
                remove_placement_group(ray.util.get_placement_group(entry["name"]))


def name_search(scratch: Path) -> str:
    """Name the search with this scratch folder: several stores may hold the same one, on one cluster."""
    return f"search-{hashlib.sha256(str(scratch.absolute()).encode()).hexdigest()[:16]}-"
