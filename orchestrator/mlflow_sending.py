"""From a store to its mirror: a record with what belongs to it, and which networks the aliases point at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapt.errors import PrerequisiteError, TaskError
from experiments.search import TRIALS_FILE
from orchestrator.mlflow_mirror import MlflowMirror
from orchestrator.mlflow_run import MAIN_SCORE
from orchestrator.record import Record
from orchestrator.scoring import score_record
from orchestrator.stages.counts_file import NAME as COUNTS
from orchestrator.stages.stage import FRAMES_FILE
from orchestrator.store import Store

FRAMES = "frames/"  # of a task's folder: what networks made of fixed frames

BEST, BASELINE = "best", "baseline"


def send_record(mirror: MlflowMirror, store: Store, record: Record) -> int:
    """Send a record, its pictures, the files that a leaderboard is made of, and the trials of a search.

    Args:
        mirror: to send to.
        store: where the record's files are; one that is damaged is left out.
        record: of a task that is done, or has failed.

    Returns:
        How many runs were made or changed.
    """
    is_done = record.status == "done"
    pictures = store.fetch_pictures(record) if is_done else store.list_pictures(record.key)
    files = dict(_list_files(store, record))
    changed = int(mirror.finish(record, find_trained(store, record), files, pictures))
    if is_done and TRIALS_FILE in record.files:
        trials = json.loads(store.verified_file(record.key, TRIALS_FILE).read_text(encoding="utf-8"))
        changed += sum(mirror.finish_trial(record, number, trial) for number, trial in enumerate(trials))
    return changed


def find_trained(store: Store, record: Record) -> Record | None:
    """Return the record of the task that trained the network that a record scores; None of outside weights, or where it is gone."""
    key = record.network.trained_by if record.network is not None else record.inputs.get("checkpoint")
    if key is None or key == record.key or not store.is_done(key):
        return None
    return store.read(key)


def _list_files(store: Store, record: Record) -> Iterator[tuple[str, Path]]:
    """Yield name and file of what a leaderboard needs beside records; weights and statistics stay in the store."""
    for name in record.files if record.status == "done" else ():
        if name in (COUNTS, TRIALS_FILE, FRAMES_FILE) or name.startswith(FRAMES):
            try:
                yield name, store.verified_file(record.key, name)
            except TaskError:
                continue


def choose_aliases(store: Store, ranked: Iterable[str], baseline: Iterable[str]) -> dict[str, str]:
    """Return alias -> key of the training that it points at.

    Args:
        store: where the records are.
        ranked: keys of the tasks of one table; `best` is the network of the one with the highest score that ranks.
        baseline: keys of trainings; the first that is done is it.
    """
    scores: dict[str, float] = {}
    for record in _read_done(store, ranked):
        score = score_record(record).get(MAIN_SCORE.get(record.kind, ""))
        trained = record.network.trained_by if record.network is not None else None
        if score is not None and trained is not None:
            scores[trained] = max(score, scores.get(trained, score))
    best = {BEST: max(scores, key=lambda key: scores[key])} if scores else {}
    first = next((record.key for record in _read_done(store, baseline)), None)
    return best if first is None else {**best, BASELINE: first}


def _read_done(store: Store, keys: Iterable[str]) -> Iterator[Record]:
    for key in keys:
        try:
            if store.is_done(key):
                yield store.read(key)
        except PrerequisiteError:  # a record that cannot be read is told elsewhere
            continue
