"""What a store could do without: results that no experiment refers to, and what failed and interrupted tasks left.

An experiment refers to the tasks of its graph under each of its profiles, and under the overrides of every leaderboard
that the store has of it; a task that is kept keeps its inputs. Where it cannot be known what a profile refers to, because its
data is not on this machine say, all that was made for it is kept. A sweep that is not complete refers to all its tasks, whether
it runs, failed, was stopped or died: it has no leaderboard yet that would name its overrides.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapt.errors import PrerequisiteError, SegshiftError
from experiments.load import list_experiments, list_profiles
from experiments.planning import plan_experiment
from experiments.workspace import Workspace
from orchestrator.backend import Leftover
from orchestrator.record import Record
from orchestrator.store import Store
from orchestrator.sweep_note import FOLDER

DAY_S = 86_400.0
ABANDONED_S = 30 * DAY_S  # ours: who has not gone on with an interrupted task for a month will not
_KEY = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True)
class Spare:
    """A finished task that could go.

    Attributes:
        key: of the task.
        experiment: for which it was made.
        stage: of that experiment.
        size_bytes: of its files.
        age_s: since it was finished.
    """

    key: str
    experiment: str
    stage: str
    size_bytes: int
    age_s: float


@dataclass(frozen=True)
class Garbage:
    """What could go, and why other things stay.

    Attributes:
        tasks: that nothing refers to.
        leftovers: of tasks that are not done, and beside those that are.
        notes: what was kept because it could not be judged, in sentences.
        complete: the notes of complete sweeps, as they were: of these the leaderboards tell what is referred to.
    """

    tasks: tuple[Spare, ...]
    leftovers: tuple[Leftover, ...]
    notes: tuple[str, ...]
    complete: frozenset[str] = frozenset()

    @property
    def size_bytes(self) -> int:
        """How much it is."""
        return sum(one.size_bytes for one in self.tasks) + sum(one.size_bytes for one in self.leftovers)


@dataclass
class _Claims:
    """What experiments refer to: keys, and (experiment, profile) of which everything is kept, with the reason."""

    keys: set[str]
    whole: dict[tuple[str, str], str]


def find_garbage(store: Store, workspace: Workspace, experiments: Sequence[str], min_age_s: float) -> Garbage:
    """Find what a store could do without.

    Args:
        store: the store.
        workspace: where data and weights are: they are part of what identifies a task.
        experiments: files of one's own, beside the experiments that segshift ships.
        min_age_s: what is younger is left alone.

    Raises:
        SpecError: one of `experiments` cannot be read.
    """
    for name in experiments:
        list_profiles(name)
    complete = frozenset(text for text in _read_sweeps(store) if _is_complete(text))
    claims = _collect_claims(store, workspace, (*list_experiments(), *experiments))
    claims.keys |= _list_swept(store, complete)
    done = store.list_done()
    store.fetch_records(done)
    tasks = []
    notes = [f"all of {name}, {profile} profile, since {why}" for (name, profile), why in sorted(claims.whole.items())]
    records = {}
    for key in sorted(done):
        try:
            records[key] = _Brief.of(store.read(key))
        except PrerequisiteError as error:
            notes.append(str(error))
    kept = {key for key, one in records.items() if key in claims.keys or (one.experiment, one.profile) in claims.whole}
    _add_inputs(kept, records)
    now = time.time()
    for key, one in records.items():
        age_s = max(0.0, now - one.finished_at)
        if key not in kept and age_s >= min_age_s and not store.is_held(key):
            tasks.append(Spare(key, one.experiment, one.stage, one.size_bytes, age_s))
    # The key of an unfinished task says nothing of its experiment: where one cannot be judged, attempts are kept for longer.
    attempt_age_s = max(min_age_s, ABANDONED_S) if claims.whole else min_age_s
    leftovers = [
        one
        for one in store.list_leftovers()
        if one.age_s >= (min_age_s if one.key in done else attempt_age_s)
        and (one.key in done or one.key not in claims.keys)
        and not store.is_held(one.key)
    ]
    return Garbage(tuple(tasks), tuple(leftovers), tuple(notes), complete)


def collect(store: Store, garbage: Garbage) -> int:
    """Remove garbage, unless a sweep has come to want it since it was found.

    Returns:
        How many of its parts stayed, because such a sweep or a process works on them now.
    """
    wanted, done = _list_swept(store, garbage.complete), store.list_done()
    gone = [task.key not in wanted and store.remove(task.key) for task in garbage.tasks]
    gone += [
        (one.key in done or one.key not in wanted) and store.remove_leftovers(one.key) for one in garbage.leftovers
    ]
    return gone.count(False)


@dataclass(frozen=True)
class _Brief:
    """The little of a record that is looked at here: thousands of whole ones would fill the memory."""

    experiment: str
    profile: str
    stage: str
    inputs: tuple[str, ...]
    size_bytes: int
    finished_at: float

    @staticmethod
    def of(record: Record) -> _Brief:
        finished_at = datetime.datetime.fromisoformat(record.started_at).timestamp() + record.seconds
        size_bytes = sum(kept.size_bytes for kept in record.files.values())
        inputs = tuple(record.inputs.values())
        return _Brief(record.experiment, record.profile, record.stage, inputs, size_bytes, finished_at)


def _add_inputs(kept: set[str], records: dict[str, _Brief]) -> None:
    """Add to some tasks all that they were made from, directly or not."""
    waiting = list(kept)
    while waiting:
        one = records.get(waiting.pop())
        for key in one.inputs if one is not None else ():
            if key not in kept:
                kept.add(key)
                waiting.append(key)


def _collect_claims(store: Store, workspace: Workspace, experiments: Sequence[str]) -> _Claims:
    claims = _Claims(set(), {})
    boards = _read_boards(store)
    for name in experiments:
        own = [board for board in boards if board.get("experiment") == Path(name).stem]
        variants: set[tuple[str, tuple[str, ...]]] = {(profile, ()) for profile in list_profiles(name)}
        variants |= {(str(board["profile"]), tuple(board.get("overrides", ()))) for board in own if "profile" in board}
        for profile, overrides in sorted(variants):
            _claim(claims, name, profile, overrides, workspace)
    return claims


def _claim(claims: _Claims, name: str, profile: str, overrides: tuple[str, ...], workspace: Workspace) -> None:
    """Add what an experiment refers to under a profile; or the whole profile, where that cannot be known here."""
    try:
        plan = plan_experiment(name, workspace, profile, overrides, gpus=None)
    except SegshiftError as error:
        claims.whole[Path(name).stem, profile] = f"it cannot be expanded: {error}"
        return
    claims.keys |= set(plan.graph.tasks)
    if plan.problems:
        claims.whole[Path(name).stem, profile] = f"it needs what is not on this machine: {plan.problems[0]}"


def _read_boards(store: Store) -> list[dict[str, Any]]:
    boards = []
    for note in store.list_notes("leaderboards"):
        if note.endswith("/leaderboard.json"):
            try:
                board = json.loads(store.read_note(note) or "{}")
            except ValueError:
                continue
            boards.append(board)
    return boards


def _read_sweeps(store: Store) -> list[str]:
    return [store.read_note(name) or "" for name in store.list_notes(FOLDER)]


def _list_swept(store: Store, complete: frozenset[str]) -> set[str]:
    """Return the keys that sweeps refer to, but for those whose notes are known to be of complete ones."""
    return {key for text in _read_sweeps(store) if text not in complete for key in _KEY.findall(text)}


def _is_complete(sweep_note: str) -> bool:
    """Say whether a driver's note is of a sweep that has all its results; one that cannot be read is of none."""
    try:
        return bool(json.loads(sweep_note)["ended"] == "complete")
    except (ValueError, KeyError, TypeError):
        return False
