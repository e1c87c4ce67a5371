"""Where clips begin."""

from __future__ import annotations

from pathlib import Path

from adapt.data.layout import Frame
from adapt.tta.clip import find_clip_starts
from adapt.tta.stream import Step, index_frames


def find(names: list[str], order: list[str] | None = None, folders: dict[str, str] | None = None) -> list[str]:
    """The frames that begin a clip, in a stream of one domain that shows the frames in order."""
    frames = [
        Frame(name, Path((folders or {}).get(name, "/video")) / f"{name}_leftImg8bit.png", None) for name in names
    ]
    manifest = tuple(Step(0, "day", "day", name, None, None, None) for name in order or names)
    starts = find_clip_starts(manifest, index_frames({"day": frames}))
    assert len(starts) == len(manifest)
    return [step.frame for step, start in zip(manifest, starts, strict=True) if start]


def test_another_video_begins_a_clip():
    assert find(["0001TP_000030", "0001TP_000060", "Seq05_f00000", "Seq05_f00030"]) == ["0001TP_000030", "Seq05_f00000"]
    # Equal names in two folders are two videos; the last group of digits is the number, not the first.
    assert find(["v1_1", "v1_2", "v2_3"]) == ["v1_1", "v2_3"]
    assert find(["a_1", "a_2", "a_3"], folders={"a_3": "/other"}) == ["a_1", "a_3"]


def test_a_gap_begins_a_clip():
    assert find(["a_30", "a_60", "a_120", "a_150"]) == ["a_30", "a_120"]
    assert find(["a_1", "a_2", "a_3", "a_4"], order=["a_1", "a_2", "a_4"]) == ["a_1", "a_4"]


def test_so_does_any_other_order():
    names = ["a_1", "a_2", "a_3"]
    assert find(names, order=["a_3", "a_2", "a_1"]) == ["a_3", "a_2", "a_1"]
    assert find(names, order=["a_2", "a_3", "a_1", "a_2"]) == ["a_2", "a_1"]
    assert find(names, order=["a_1", "a_1"]) == ["a_1", "a_1"]


def test_frames_without_a_number_are_clips_of_their_own():
    assert find(["left", "right"]) == ["left", "right"]


def test_a_number_may_stand_inside_the_name():
    assert find(["a_1_x", "a_2_x", "a_2_y", "a_3_y"]) == ["a_1_x", "a_2_y"]


def test_another_domain_or_round_begins_a_clip():
    frames = {name: [Frame(f"a_{index}", Path("/v") / f"a_{index}.png", None) for index in (1, 2)] for name in "xy"}
    manifest = tuple(
        Step(round_, domain, dataset, f"a_{index}", None, None, None)
        for round_, domain, dataset in ((0, "x", "x"), (0, "x/fog/1", "x"), (0, "y", "y"), (1, "x", "x"))
        for index in (1, 2)
    )
    assert find_clip_starts(manifest, index_frames(frames)) == (True, False) * 4
    # In the middle of a video too.
    shift = (manifest[0], manifest[3], manifest[6], manifest[7])
    assert find_clip_starts(shift, index_frames(frames)) == (True, True, True, False)
    rounds = (manifest[0], Step(1, "x", "x", "a_2", None, None, None))
    assert find_clip_starts(rounds, index_frames(frames)) == (True, True)


def test_an_empty_stream_has_none():
    assert find_clip_starts((), {}) == ()
