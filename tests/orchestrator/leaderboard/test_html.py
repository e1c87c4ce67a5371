"""The page of a leaderboard, looked at without a browser."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.leaderboard.html import to_html
from orchestrator.leaderboard.page.groups import group_columns
from orchestrator.leaderboard.page.pictures import fill_album
from orchestrator.leaderboard.page.section import identify_rows, name_datasets
from orchestrator.leaderboard.published import PublishedRow, PublishedTable
from orchestrator.leaderboard.row import Detail, Picture, Provenance, Row
from tests.orchestrator.leaderboard.page_boards import (
    make_benchmark,
    make_board,
    make_pictures,
    make_row,
    make_score,
    make_stream,
    make_table,
)

HOSTILE = """</script><img src=x onerror="alert(1)">'&"""


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and its text without scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.data: Any = None
        self._in: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in.append("data" if dict(attrs).get("id") == "leaderboard-data" else "code")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._in.pop()

    def handle_data(self, data: str) -> None:
        if self._in and self._in[-1] == "data":
            self.data = json.loads(data)
        elif not self._in:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key.rstrip("_")) == value for key, value in attributes.items())
            for name, found in self.elements
        )


PUBLISHED = PublishedTable(
    title="GTA to Cityscapes",
    kind="evaluate",
    dataset="cityscapes",
    source="Hoyer et al., CVPR 2022",
    url="https://arxiv.org/abs/2111.14887",
    columns=("mIoU",),
    rows=(PublishedRow("DAFormer", (68.3,)), PublishedRow("other", (None,))),
)


def test_hostile_names_are_text_in_every_field() -> None:
    row = make_row(
        HOSTILE,
        {"mIoU": make_score(None, HOSTILE), HOSTILE: make_score(0.5), f"IoU/{HOSTILE}": make_score(0.5)},
        adaptation=HOSTILE,
        axes={HOSTILE: HOSTILE},
        architecture=HOSTILE,
        reason=HOSTILE,
        tuned=HOSTILE,
        warnings=(HOSTILE,),
        training_data=(HOSTILE,),
        detail=Detail((HOSTILE,), {HOSTILE: (0.5,)}, {HOSTILE: (0.5, 0.4)}, {}, (Picture(HOSTILE, HOSTILE, "k", {}),)),
        provenance=Provenance(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE}, settings={HOSTILE: HOSTILE}),
    )
    table = make_table([row], title=HOSTILE, extra={HOSTILE: [HOSTILE]})
    board = make_board(table, experiment=HOSTILE, profile=HOSTILE, title=HOSTILE, overrides=(HOSTILE,))
    quoted = replace(
        PUBLISHED,
        title=HOSTILE,
        dataset=HOSTILE,
        source=HOSTILE,
        url="javascript:alert(1)",
        columns=(HOSTILE,),
        note=HOSTILE,
    )
    quoted = replace(quoted, rows=(PublishedRow(HOSTILE, (1.0,)),))
    page = Page(to_html([board, board], [quoted]))
    assert page.count("img") == 0
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes or "style" in attributes]
    assert not [attributes for _, attributes in page.elements if "javascript:" in (attributes.get("href") or "")]
    assert page.data["tables"][0]["rows"][0]["entry"] == row.entry
    assert page.data["tables"][0]["rows"][0]["provenance"]["settings"] == {HOSTILE: HOSTILE}
    assert HOSTILE in page.text


def test_a_share_is_not_rounded_to_another_print() -> None:
    """0.576511 is 57.7 in percent, but 0.5765 is 57.6; and 0.57649999996 is 57.6 however few digits are kept."""
    values = {"mIoU": 0.576511, "other": 0.57649999996, "third": 0.123456789}
    detail = Detail(("road",), {"clean": (0.576511,)}, {"night": (0.576511,)}, {})
    row = make_row("a", {name: make_score(value) for name, value in values.items()}, detail=detail)
    (found,) = Page(to_html([make_board(make_table([row]))])).data["tables"][0]["rows"]
    assert [f"{100 * mean:.1f}" for mean in found["mean"]] == [f"{100 * value:.1f}" for value in values.values()]
    assert found["mean"][2] == 0.1234568
    assert found["detail"]["classIou"] == {"clean": [0.576511]}
    assert found["detail"]["rounds"] == {"night": [0.576511]}


def test_a_page_has_a_table_for_each_protocol() -> None:
    page = Page(to_html([make_board(make_benchmark(), make_stream())]))
    assert page.count("section", class_="table") == 2
    assert page.count("table", class_="scores") == 2
    assert [table["kind"] for table in page.data["tables"]] == ["benchmark", "stream"]
    assert len({table["id"] for table in page.data["tables"]}) == 2


def test_nothing_is_loaded_from_anywhere() -> None:
    text = to_html([make_board(make_benchmark())], [PUBLISHED])
    page = Page(text)
    loads = [a[k] for tag, a in page.elements for k in ("src", "srcset", "href") if k in a and tag != "a"]
    assert [load for load in loads if not str(load).startswith("data:")] == []
    assert not re.search(r"@import|url\((?!data:)|fetch\(|XMLHttpRequest|import\(", text)
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe" not in str(policy)
    assert "https://arxiv.org/abs/2111.14887" in [a.get("href") for tag, a in page.elements if tag == "a"]


def test_fifty_rows_with_pictures_stay_below_three_megabytes(tmp_path: Path) -> None:
    """Six frames of 9 kB images, 3 kB labels, and 10 kB of prediction and error a row and frame: 4 MB without a budget."""
    rng = np.random.default_rng(0)
    table = make_benchmark(50)
    rows = tuple(
        replace(row, detail=replace(row.detail or Detail(), pictures=make_pictures(f"r{index}", 6)))
        for index, row in enumerate(table.rows)
    )
    sizes = {"image": 9000, "label": 3000, "prediction": 6000, "error": 4000}
    files = {
        (name, panel) for row in rows for p in (row.detail or Detail()).pictures for panel, name in p.files.items()
    }
    for name, panel in sorted(files):
        (tmp_path / name).write_bytes(rng.bytes(sizes[panel]))
    text = to_html([make_board(replace(table, rows=rows))], (), lambda picture, panel: tmp_path / picture.files[panel])
    data = Page(text).data
    shown = [len(row.get("pictures", ())) for row in data["tables"][0]["rows"]]
    assert len(text.encode()) < 3_000_000
    assert shown[0] == 6
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] == 0
    assert all(row.get("leftOut", 0) + count == 6 for row, count in zip(data["tables"][0]["rows"], shown, strict=True))
    assert len(data["images"]) == len(set(data["images"]))
    assert "pictures of lower rows are left out" in text


def test_an_image_that_rows_share_is_embedded_once(tmp_path: Path) -> None:
    rows = [make_row(name, {}, detail=Detail(pictures=make_pictures(name, 1))) for name in ("a", "b")]
    for row in rows:
        for name in (row.detail or Detail()).pictures[0].files.values():
            (tmp_path / name).write_bytes(name.encode())
    album = fill_album([rows], lambda picture, panel: tmp_path / picture.files[panel])
    a, b = (album.shown[id(row)][0]["panels"] for row in rows)
    assert len(album.images) == 6
    assert (a["image"], a["label"]) == (b["image"], b["label"])
    assert a["prediction"] != b["prediction"]


def test_a_picture_that_is_gone_is_left_out_and_the_rest_is_shown(tmp_path: Path) -> None:
    row = make_row("a", {}, detail=Detail(pictures=make_pictures("a", 1)))
    (tmp_path / "frame0-image.jpg").write_bytes(b"x")
    paths = {"image": tmp_path / "frame0-image.jpg", "label": tmp_path / "gone.png", "error": tmp_path / "secret.txt"}
    album = fill_album([[row]], lambda _, panel: paths.get(panel))
    assert album.shown[id(row)] == [{"frame": "frame0", "condition": "clean", "panels": {"image": 0}}]


def test_the_best_rows_of_every_table_have_their_pictures_first(tmp_path: Path) -> None:
    tables = [
        [make_row(f"{t}{r}", {}, detail=Detail(pictures=make_pictures(f"{t}{r}", 1))) for r in "12"] for t in "ab"
    ]

    def find(picture: Picture, panel: str) -> Path:
        file = tmp_path / picture.files[panel]
        file.write_bytes(picture.key.encode() * 30)  # 80 letters and 22 or 23 before them; the same in each panel
        return file

    album = fill_album(tables, find, budget=210)
    shown = [[id(row) in album.shown for row in rows] for rows in tables]
    assert shown == [[True, False], [True, False]]


def test_a_missing_score_is_a_dash_with_its_reason() -> None:
    rows = [
        make_row("a", {"mIoU": make_score(0.5), "gap closed": make_score(None, "there is no gap")}, rank=1),
        make_row(
            "b", {"mIoU": make_score(None), "gap closed": make_score(0.1)}, seeds=0, reason="1 of 1 runs have no result"
        ),
        make_row("c", {"mIoU": make_score(math.nan), "gap closed": make_score(math.inf)}),
    ]
    page = Page(to_html([make_board(make_table(rows))]))
    assert page.count("span", title="there is no gap") == 1
    assert page.count("span", title="1 of 1 runs have no result") == 1
    assert page.count("span", title="the stored score is no finite number") == 2
    assert "Not ranked: 1 of 1 runs have no result" in page.text
    assert "no result yet" in page.text
    assert "nan" not in page.text.lower().split()
    assert [row.get("mean") for row in page.data["tables"][0]["rows"]] == [[0.5, None], [None, 0.1], None]


def test_rows_that_share_a_rank_say_so() -> None:
    page = Page(to_html([make_board(make_benchmark(4))]))
    cells = re.findall(r'<td class="rank">(.*?)</td>', to_html([make_board(make_benchmark(4))]))
    assert cells == ["1=", "1=", "3", "–"]
    assert "paired bootstrap" in page.text


def test_boards_without_tables_and_tables_without_rows_are_said_to_be_empty() -> None:
    assert "has no tables" in Page(to_html([make_board()])).text
    assert "This table has no rows" in Page(to_html([make_board(make_table([]))])).text
    assert "no leaderboard here yet" in Page(to_html([])).text


def test_ten_thousand_rows_render() -> None:
    rows = [
        make_row(f"net{i}", {"mIoU": make_score(1 - i / 20_000), "IoU/car": make_score(0.5)}, rank=i + 1)
        for i in range(10_000)
    ]
    text = to_html([make_board(make_table(rows))])
    assert text.count('<td class="rank">') == 10_000
    assert text.count('"entry":"net') == 10_000
    assert "more scores of each row are in the leaderboard's CSV and JSON" in text


def test_the_miniature_and_overrides_are_said() -> None:
    page = Page(to_html([make_board(make_benchmark(), miniature=True, overrides=("train.steps=3",))]))
    assert page.count("p", class_="notice") == 1
    assert "MINIATURE DATA" in page.text
    assert "train.steps=3" in page.text
    assert "MINIATURE" not in Page(to_html([make_board(make_benchmark())])).text


def test_published_scores_stand_apart_and_without_a_rank() -> None:
    page = Page(to_html([make_board(make_stream())], [PUBLISHED]))
    assert (
        page.text.index("cgnet + tent") < page.text.index("never ranked with the rows above") < page.text.index("68.3")
    )
    assert page.count("td", class_="rank") == 2


def test_the_cells_of_a_grid_can_be_read_without_a_script() -> None:
    text = to_html([make_board(make_benchmark())])
    plain = re.search(r"<noscript>.*?<summary>noise(.*?)</noscript>", text, re.S)
    assert plain is not None
    assert "gaussian_noise/3" in plain[1]
    assert "<td>60.0</td>" in plain[1]


def test_detail_columns_fold_by_what_they_are() -> None:
    grid = ("gaussian_noise/1", "fog/2", "shot_noise/5", "CD/fog", "unheard_of/3")
    assert group_columns("benchmark", grid) == {
        "noise": ("gaussian_noise/1", "shot_noise/5"),
        "weather": ("fog/2",),
        "CD by corruption": ("CD/fog",),
        "other": ("unheard_of/3",),
    }
    assert group_columns("evaluate", ("IoU/car",)) == {"by class": ("IoU/car",)}
    stream = ("round 1", "ECE night", "frames/s", "VC8", "purity")
    assert list(group_columns("stream", stream)) == ["by round", "calibration", "cost", "video", "reservoir"]


def test_rows_keep_their_address_when_others_come() -> None:
    a, b = make_row("a", {}), make_row("b", {})
    before, after = identify_rows("t", [b]), identify_rows("t", [a, b, b])
    assert after[1] == before[0]
    assert len(set(after)) == 3


def test_the_data_sets_of_a_protocol_are_told() -> None:
    assert name_datasets({"dataset": {"type": "camvid"}}) == ["camvid"]
    assert name_datasets({"datasets": {"a": {"type": "acdc"}, "b": {"type": "acdc"}}}) == ["acdc"]
    assert name_datasets({}) == []


def test_the_page_says_what_each_row_is_by_whom() -> None:
    rows: list[Row] = list(make_benchmark(3).rows)
    text = to_html([make_board(make_table(rows, "benchmark"))])
    assert re.findall(r'<span class="badge (\w+)">', text.split("<tbody>")[1]) == ["good", "warn", "good"]
