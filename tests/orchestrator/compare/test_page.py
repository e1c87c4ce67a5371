"""The page of a comparison: complete, escaped, with the pictures that both sides have."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from orchestrator.compare.comparison import compare_sides
from orchestrator.compare.page import list_colours, list_frames, to_html
from orchestrator.leaderboard.row import Picture

HOSTILE = "</script><script>alert('x')</script><b>&\"'"


def read_charts(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]


@pytest.fixture
def pictures(tmp_path: Path):
    """Two pictures of panels, whose files are there."""
    for name in ("image.jpg", "label.png", "prediction.png", "error.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    files = {name.partition(".")[0]: name for name in ("image.jpg", "label.png", "prediction.png", "error.png")}
    return [
        Picture(frame, condition, "key", files)
        for frame, condition in (("f1", "clean"), ("f1", "fog/3"), ("f2", "clean"))
    ]


def test_every_difference_of_every_kind_is_a_bar(compare_kind) -> None:
    sides = compare_kind("benchmark")
    comparison = compare_sides(sides)
    charts = read_charts(to_html([comparison], [sides], "segshift compare a b"))
    bars = {chart["title"]: chart for chart in charts if chart["kind"] == "differences"}
    assert list(bars) == ["Scores", "Corruptions", "Shifts", "Classes, clean", "Classes, corrupted"]
    found = {
        (name, value) for chart in bars.values() for name, value in zip(chart["names"], chart["values"], strict=True)
    }
    assert found == {(one.name, one.difference.mean) for one in comparison.pairs[0].differences}
    (heatmap,) = [chart for chart in charts if chart["kind"] == "heatmap"]
    assert (heatmap["rows"], heatmap["columns"]) == (
        ["road", "car", "sky"],
        ["clean", "fog", "gaussian_noise", "other"],
    )
    lines = [chart for chart in charts if chart["kind"] == "lines"]
    assert [chart["title"] for chart in lines] == [
        "mIoU over severity: mean over the corruptions", "mIoU over severity: fog", "mIoU over severity: gaussian_noise",
    ]  # fmt: skip
    assert [series["name"] for series in lines[1]["series"]] == ["plain", "better"]
    assert lines[1]["x"] == ["clean", "1", "2"]


def test_hostile_names_are_text(compare_kind) -> None:
    one, other = compare_kind("stream")
    sides = (replace(one, name=HOSTILE, title=HOSTILE), other)
    page = to_html([compare_sides(sides)], [sides], HOSTILE)
    assert "<script>alert" not in page
    assert "<b>&" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(" in page


def test_only_frames_that_all_sides_have_are_beside_each_other(compare_kind, pictures, tmp_path: Path) -> None:
    one, other = compare_kind("evaluate")
    find = lambda key, name: tmp_path / name  # noqa: E731
    sides = [
        replace(one, pictures=tuple(pictures), find_file=find),
        replace(other, pictures=tuple(pictures[1:]), find_file=find),
    ]
    frames = list_frames(sides)
    assert [(frame.name, frame.condition) for frame in frames] == [("f1", "fog/3"), ("f2", "clean")]
    assert [panel.caption for panel in frames[0].panels] == [
        "image", "label", "prediction: plain", "prediction: better", "error: plain", "error: better",
    ]  # fmt: skip
    assert frames[0].panels[0].source.startswith("data:image/jpeg;base64,")
    assert frames[0].panels[1].source.startswith("data:image/png;base64,")
    assert len(list_frames(sides, most=1)) == 1


def test_the_colours_of_the_pictures_are_told(compare_kind, pictures, tmp_path: Path) -> None:
    """Of the first picture that has a palette; a grey PNG tells none."""
    scored = compare_kind("evaluate")
    sides = [replace(side, pictures=tuple(pictures), find_file=lambda key, name: tmp_path / name) for side in scored]
    assert list_colours(sides, ("road", "car", "sky")) == []
    label = Image.new("P", (4, 4))
    label.putpalette([128, 64, 128, 0, 0, 142, 70, 130, 180, 0, 0, 0])
    label.save(tmp_path / "prediction.png")
    colours = [("road", "#804080"), ("car", "#00008e"), ("sky", "#4682b4")]
    assert list_colours(sides, ("road", "car", "sky")) == colours
    assert list_colours(sides, tuple("abcdefgh")) == []  # more classes than colours
    page = to_html([compare_sides(scored)], [sides], "segshift compare a b")
    assert "error: red is wrong, grey is not scored" in page
    assert re.findall(r'fill="(#\w+)"/></svg>(\w+)<', page) == [(colour, name) for name, colour in colours]


def test_pictures_that_are_gone_are_left_out(compare_kind, pictures) -> None:
    sides = [
        replace(side, pictures=tuple(pictures), find_file=lambda key, name: None) for side in compare_kind("evaluate")
    ]
    assert list_frames(sides) == []


def test_a_page_without_intervals_says_so(compare_kind, store) -> None:
    sides = compare_kind("evaluate")
    (store.folder(sides[0].records[0].key) / "counts.npz").unlink()
    page = to_html([compare_sides(sides)], [sides], "segshift compare a b")
    assert "none: counts are missing" in page
    assert "no intervals: plain: the file counts.npz of task" in page
