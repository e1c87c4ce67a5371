"""The order of each kind of stream."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest

from adapt.tta.order import list_visits
from adapt.tta.stream_settings import DomainSettings, StreamSettings

A, B = DomainSettings(dataset="a"), DomainSettings(dataset="b", corruption="fog", severity=2)
NAMES = {"a": ["a0", "a1", "a2"], "b/fog/2": ["b0", "b1"]}
MANY = {"a": [f"a{index}" for index in range(40)], "b/fog/2": [f"b{index}" for index in range(30)]}


def walk(names=NAMES, **settings) -> list[tuple[int, str]]:
    stream = StreamSettings(domains=(A, B), **settings)
    return [(visit.round, visit.frame) for visit in list_visits(stream, names)]


def list_runs(names, **settings) -> list[list[str]]:
    frames = [frame for _, frame in walk(names, kind="cdc", **settings)]
    return [list(run) for _, run in groupby(frames, key=lambda frame: frame[0])]


def test_a_recurring_stream_repeats_the_order():
    one = ["a0", "a1", "a2", "b0", "b1"]
    assert walk(kind="recurring", rounds=3) == [(round_, frame) for round_ in range(3) for frame in one]
    assert walk(kind="recurring", rounds=3) == walk(kind="continual", rounds=3)


def test_a_run_goes_on_where_the_last_round_stopped_and_begins_anew():
    assert walk(kind="recurring", rounds=3, run_length=2) == [
        *((0, frame) for frame in ("a0", "a1", "b0", "b1")),
        *((1, frame) for frame in ("a2", "a0", "b0", "b1")),
        *((2, frame) for frame in ("a1", "a2", "b0", "b1")),
    ]
    assert walk(kind="recurring", rounds=2, run_length=3)[3:6] == [(0, "b0"), (0, "b1"), (0, "b0")]


def test_a_cdc_stream_uses_up_every_frame_once_in_its_order():
    frames = walk(MANY, kind="cdc", seed=1)
    assert {round_ for round_, _ in frames} == {0}
    for names in MANY.values():
        assert [frame for _, frame in frames if frame in names] == names
    assert len(frames) == 70


@pytest.mark.parametrize("longest", [None, 6])
def test_a_cdc_stream_changes_domain_at_every_run_while_it_can(longest):
    lengths = set()
    for seed in range(20):
        runs = list_runs(MANY, seed=seed, run_length=longest)
        left = {"a": 40, "b": 30}
        for run in runs[:-1]:
            limit = min(longest or 40, left[run[0][0]])
            assert 1 <= len(run) <= limit
            left[run[0][0]] -= len(run)
            lengths.add(len(run))
        assert len(runs) > 1
    assert len(lengths) >= 5
    assert lengths >= {1, 2, 3, 4, 5, 6}


def test_a_mixed_stream_is_one_shuffle_of_all_frames():
    frames = [frame for _, frame in walk(MANY, kind="mixed", seed=0)]
    everything = [*MANY["a"], *MANY["b/fog/2"]]
    assert sorted(frames) == sorted(everything)
    # Of 70 frames in random order about half of the neighbours are of the same domain, and about half ascend.
    same = sum(one[0] == other[0] for one, other in pairwise(frames))
    places = [everything.index(frame) for frame in frames]
    ascending = sum(one < other for one, other in pairwise(places))
    assert 20 <= same <= 50
    assert 20 <= ascending <= 50


def test_every_place_of_a_shuffle_is_as_likely():
    firsts = Counter(walk(kind="mixed", seed=seed)[0][1] for seed in range(500))
    assert set(firsts) == {"a0", "a1", "a2", "b0", "b1"}
    assert np.allclose(list(firsts.values()), 100, atol=40)  # four standard deviations


@pytest.mark.parametrize("kind", ["cdc", "mixed"])
def test_the_seed_alone_decides_what_is_drawn(kind):
    assert walk(MANY, kind=kind, seed=3) == walk(MANY, kind=kind, seed=3)
    assert walk(MANY, kind=kind, seed=3) != walk(MANY, kind=kind, seed=4)


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def test_the_draws_are_those_of_every_machine():
    """The rule by hand, and its rows written down: another Python or machine that gives others breaks the promise."""
    rows = [("a", name) for name in NAMES["a"]] + [("b/fog/2", name) for name in NAMES["b/fog/2"]]
    by_hand = sorted(rows, key=lambda row: digest(f"0\0mixed\0{row[0]}\0{row[1]}"))
    assert [frame for _, frame in walk(kind="mixed", seed=0)] == [name for _, name in by_hand]
    assert [name for _, name in by_hand] == ["a0", "a2", "b1", "b0", "a1"]

    first = int.from_bytes(digest("1\0cdc domain\x000")[:8], "little") % 2
    length = 1 + int.from_bytes(digest("1\0cdc length\x000")[:8], "little") % (3, 2)[first]
    frames = [frame for _, frame in walk(kind="cdc", seed=1)]
    assert frames[:length] == list(NAMES.values())[first][:length]
    assert frames == ["b0", "b1", "a0", "a1", "a2"]
