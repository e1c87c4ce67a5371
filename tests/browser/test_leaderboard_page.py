"""The page of a leaderboard as its readers use it, in a real browser."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.leaderboard.html import to_html
from orchestrator.leaderboard.row import Detail
from tests.orchestrator.leaderboard.page_boards import (
    make_benchmark,
    make_board,
    make_pictures,
    make_row,
    make_score,
    make_stream,
    make_table,
)

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables: five rows of a benchmark, the last unranked, and two of a stream."""
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    path.write_text(to_html([make_board(make_benchmark(5), make_stream())]), encoding="utf-8")
    return path


def list_entries(page: Any, table: int = 0) -> list[str]:
    section = page.locator("section.table").nth(table)
    return list(section.locator("tr:not([hidden]) > .entry .name").all_inner_texts())


def find_head(page: Any, name: str) -> Any:
    return page.locator("section.table").first.get_by_role("columnheader", name=name, exact=True)


def test_a_click_on_a_head_sorts_and_missing_scores_stay_last(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    assert list_entries(page) == ["net0", "net1", "net2", "net3", "net4"]
    find_head(page, "mPC").get_by_role("button").click()
    assert find_head(page, "mPC").get_attribute("aria-sort") == "descending"
    assert list_entries(page) == ["net0", "net1", "net2", "net3", "net4"]
    find_head(page, "mPC").get_by_role("button").click()
    assert find_head(page, "mPC").get_attribute("aria-sort") == "ascending"
    assert list_entries(page) == ["net3", "net2", "net1", "net0", "net4"]
    assert page.locator("[aria-sort]").count() == 2


def test_a_head_sorts_by_keyboard_and_keeps_the_focus(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    find_head(page, "clean").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert list_entries(page) == ["net4", "net3", "net2", "net1", "net0"]
    page.keyboard.press("Space")
    assert list_entries(page) == ["net0", "net1", "net2", "net3", "net4"]
    assert page.evaluate("document.activeElement.closest('th').dataset.column") == "score clean"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_reader_comes_from_the_skip_link_to_an_opened_row_by_keyboard(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('tbody button')"):
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.get_by_text("segshift sweep demo matrix.net=[net0]").is_visible()


def test_filters_and_search_leave_what_fits_and_say_how_many(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    status = page.get_by_role("status")
    assert status.inner_text() == "All 7 rows in 2 tables"
    page.get_by_label("Architecture").select_option("UNet + FCNHead")
    assert list_entries(page) == ["net1", "net3"]
    assert status.inner_text() == "2 of 7 rows in 1 table"
    assert page.locator("section.table").nth(1).is_hidden()
    page.get_by_label("Search").fill("near CHANCE")
    assert list_entries(page) == ["net1"]
    page.get_by_label("Search").fill("nothing like it")
    assert status.inner_text() == "No row fits: choose less, or show all"
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Method").select_option("tent")
    assert list_entries(page, 1) == ["cgnet + tent"]
    assert status.inner_text() == "1 of 7 rows in 1 table"


def test_a_row_opens_to_what_was_measured_and_where_it_comes_from(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    page.get_by_role("button", name="net1", exact=True).click()
    sheet = page.locator(".sheet")
    titles = sheet.locator("figcaption").all_inner_texts()
    assert titles[:2] == ["mIoU by corruption and severity (%)", "Noise over severity"]
    assert {"Reliability", "IoU by class (%)"} <= set(titles)
    grid = sheet.locator("figure", has_text="mIoU by corruption").first
    assert grid.locator("svg .number").all_text_contents() == [*("79.0", "59.0") * 3]  # 0.89 less 0.1 a severity
    classes = sheet.locator("figure", has_text="IoU by class").first
    assert classes.locator("svg .number").all_text_contents() == ["90.0", "70.0", "50.0", "30.0", "–", "10.0"]
    assert sheet.locator("figure", has_text="Noise over").locator("path.band").count() == 1
    assert sheet.get_by_text("Warning: fog/3 is near chance.").is_visible()
    assert sheet.get_by_text("Self-reported", exact=False).first.is_visible()
    assert sheet.get_by_text("segshift sweep demo matrix.net=[net1]").is_visible()
    grid.get_by_text("Numbers").click()
    assert grid.locator("tbody tr").first.inner_text().split() == ["gaussian_noise", "79.0", "59.0"]
    page.get_by_role("button", name="net1", exact=True).click()
    assert sheet.count() == 0


def test_a_stream_opens_to_its_drift(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    page.get_by_role("button", name="cgnet + tent").click()
    drift = page.locator(".sheet figure", has_text="Drift over rounds")
    drift.get_by_text("Numbers").click()
    assert [row.split() for row in drift.locator("tbody tr").all_inner_texts()] == [
        ["1", "50.0", "50.0"],
        ["2", "40.0", "50.0"],
        ["3", "30.0", "–"],
    ]


def test_cost_is_drawn_against_quality_with_the_front_marked(file: Path, open_page: OpenPage) -> None:
    """The first net has the fewest parameters and the best score, and each further one is faster and worse."""
    page = open_page(file)
    cost = page.locator(".cost").first
    assert cost.locator(".point.best title").all_text_contents() == ["net0: 90.0 at 400 k, on the front"]
    cost.get_by_label("Cost").select_option("frames/s")
    assert cost.locator(".point.best").count() == cost.locator(".point").count() == 4  # the fifth has no score


def test_a_difference_whose_interval_holds_zero_is_grey(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    spec = {
        "kind": "differences",
        "title": "b - a",
        "names": ["better", "open", "worse", "missing"],
        "values": [0.05, 0.01, -0.05, None],
        "low": [0.02, -0.01, -0.08, None],
        "high": [0.08, 0.03, -0.02, None],
    }
    bars = page.evaluate(
        """spec => [...buildChart(spec, 500).querySelectorAll("rect")].map(bar => bar.getAttribute("class"))""", spec
    )
    assert bars == ["bar more", "bar open", "bar less"]


def test_a_number_is_printed_as_python_prints_it(file: Path, open_page: OpenPage) -> None:
    """Shares of 7 digits, those that lie between two prints, and ties in the numbers of other columns."""
    page = open_page(file)
    random_share = random.Random(0).uniform
    shares = [share for _ in range(5000) if (share := round(random_share(-1, 1), 7))]
    shares += [round(i / 2000, 4) for i in range(1, 2001)] + [0.576511, 0.125, 0.0625, 0.4375]
    shown = page.evaluate("shares => shares.map(share => showShare(share))", shares)
    assert shown == [f"{100 * share:.1f}" for share in shares]
    ties = [sign * i / 16 for i in range(1, 400) for sign in (1, -1)]
    for digits in range(4):
        shown = page.evaluate("([values, digits]) => values.map(value => printFixed(value, digits))", [ties, digits])
        assert shown == [f"{value:.{digits}f}" for value in ties]


def test_a_name_is_whole_where_there_is_room(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    names = ["elastic_transform", "a class of a very long name"]
    spec = {"kind": "differences", "title": "b - a", "names": names, "values": [0.1, -0.1]}
    draw = """([spec, room]) => [...buildChart(spec, room).querySelectorAll("text.end:not(.number)")].map(e => e.textContent)"""
    assert page.evaluate(draw, [spec, 460]) == names
    assert page.evaluate(draw, [spec, 300]) == ["elastic_transform", "a class of a very …"]


def test_the_bars_of_a_difference_have_the_hues_of_the_diverging_scale(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    found = page.evaluate(
        """() => {
          const fill = (spec, kind) => {
            const figure = buildChart({title: "t", ...spec}, 500);
            document.body.append(figure);
            return [...figure.querySelectorAll(kind)].map(e => getComputedStyle(e).fill.match(/\\d+/g).map(Number));
          };
          const values = [1, -1];
          return [
            fill({kind: "differences", names: ["a", "b"], values, low: [0.9, -1], high: [1, -0.9]}, "rect"),
            fill({kind: "heatmap", rows: ["a"], columns: ["x", "y"], values: [values], scale: "diverging"}, "rect"),
          ];
        }"""
    )
    for more, less in found:
        assert more[2] > more[0]  # more blue than red
        assert less[0] > less[2]


def test_a_point_in_a_corner_keeps_a_shortened_name_that_no_line_strikes_through(
    file: Path, open_page: OpenPage
) -> None:
    page = open_page(file)
    points = [
        {"name": "cgnet + a long adaptation", "x": 1, "y": 0.30, "front": True},
        {"name": "a network of some size + sar", "x": 10, "y": 0.60, "front": True},
        {"name": "a network of some size + tent", "x": 6, "y": 0.33, "front": False},
    ]
    spec = {"kind": "scatter", "title": "cost", "xLabel": "GFLOPs", "yLabel": "mIoU (%)", "points": points}
    shown, struck = page.evaluate(
        """spec => {
          const figure = buildChart(spec, 260);
          document.body.append(figure);
          const texts = [...figure.querySelectorAll(".point text")];
          const line = figure.querySelector("path.front");
          const on = Array.from({length: 500}, (_, i) => line.getPointAtLength(line.getTotalLength() * i / 499));
          const struck = texts.filter(text => {
            const box = text.getBBox();
            return on.some(p => p.x > box.x && p.x < box.x + box.width && p.y > box.y + 3 && p.y < box.y + box.height - 3);
          });
          return [texts.map(text => text.textContent), struck.map(text => text.textContent)];
        }""",
        spec,
    )
    assert len(shown) == 3
    assert "… + sar" in shown
    assert struck == []


def test_unfolded_columns_come_into_view_and_the_edge_says_that_there_are_more(
    tmp_path: Path, open_page: OpenPage
) -> None:
    path = tmp_path / "wide.html"
    rows = [
        make_row(
            f"net{index}",
            {"mIoU": make_score(0.5), **{f"IoU/a class of number {k}": make_score(0.1) for k in range(30)}},
            rank=index + 1,
        )
        for index in range(2)
    ]
    path.write_text(to_html([make_board(make_table(rows))]), encoding="utf-8")
    page = open_page(path, viewport={"width": 900, "height": 800})
    assert page.locator(".edge.goes-on").count() == 0
    page.get_by_role("button", name="by class (30)").click()
    page.locator(".edge.goes-on").wait_for()
    entry, first = page.locator("thead .entry").bounding_box(), page.locator("thead .extra").first.bounding_box()
    assert first["x"] == pytest.approx(entry["x"] + entry["width"], abs=2)
    page.evaluate("document.querySelector('.board').scrollLeft = 1e6")
    page.locator(".edge:not(.goes-on)").wait_for()


def test_the_colours_of_the_pictures_are_told(tmp_path: Path, open_page: OpenPage) -> None:
    picture = Image.new("P", (4, 4))
    picture.putpalette([128, 64, 128, 0, 0, 142, 70, 130, 180, 0, 0, 0])
    pictures = make_pictures("a", 1)
    for name in pictures[0].files.values():
        (picture if name.endswith(".png") else picture.convert("RGB")).save(tmp_path / name)
    row = make_row("a", {"mIoU": make_score(0.5)}, detail=Detail(("road", "car", "<sky>"), pictures=pictures))
    path = tmp_path / "pictures.html"
    path.write_text(
        to_html([make_board(make_table([row]))], (), lambda each, panel: tmp_path / each.files[panel]), encoding="utf-8"
    )
    page = open_page(path)
    page.get_by_role("button", name="a", exact=True).click()
    assert page.get_by_text("error: red is wrong, grey is not scored").is_visible()
    assert page.locator(".sheet .legend li").all_inner_texts() == ["road", "car", "<sky>"]
    fills = page.evaluate("[...document.querySelectorAll('.sheet .swatch')].map(each => getComputedStyle(each).fill)")
    assert fills == ["rgb(128, 64, 128)", "rgb(0, 0, 142)", "rgb(70, 130, 180)"]


def test_groups_of_columns_unfold_and_sort(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    assert page.locator("th.extra").count() == 0
    page.get_by_role("button", name="noise (2)").click()
    assert page.locator("th.extra").all_inner_texts() == ["gaussian_noise/1", "gaussian_noise/3"]
    find_head(page, "gaussian_noise/3").get_by_role("button").click()
    find_head(page, "gaussian_noise/3").get_by_role("button").click()
    assert list_entries(page) == ["net4", "net3", "net2", "net1", "net0"]
    page.get_by_role("button", name="noise (2)").click()
    assert page.locator("th.extra").count() == 0
    assert list_entries(page) == ["net0", "net1", "net2", "net3", "net4"]


def test_the_address_restores_the_view(file: Path, open_page: OpenPage) -> None:
    page = open_page(file)
    page.get_by_label("Search").fill("net")
    page.get_by_role("button", name="weather (2)").click()
    find_head(page, "fog/1").get_by_role("button").click()
    find_head(page, "fog/1").get_by_role("button").click()
    page.get_by_role("button", name="net2", exact=True).click()
    again = open_page(file, page.evaluate("location.hash"))
    assert list_entries(again) == ["net4", "net3", "net2", "net1", "net0"] == list_entries(page)
    assert again.get_by_label("Search").input_value() == "net"
    assert again.get_by_role("button", name="net2", exact=True).get_attribute("aria-expanded") == "true"
    assert again.locator("th.extra").count() == 2
    odd = open_page(file, "#sort.nothing=x&open=y&method=gone&columns.z=w")
    assert odd.get_by_role("status").inner_text() == "All 7 rows in 2 tables"


def test_a_long_table_shows_its_first_rows_and_then_all(tmp_path: Path, open_page: OpenPage) -> None:
    path = tmp_path / "long.html"
    path.write_text(to_html([make_board(make_benchmark(130))]), encoding="utf-8")
    page = open_page(path)
    assert len(list_entries(page)) == 50
    find_head(page, "Parameters").get_by_role("button").click()
    assert list_entries(page)[0] == "net129"
    page.get_by_role("button", name="Show all 130 rows").click()
    assert list_entries(page) == [f"net{index}" for index in reversed(range(130))]


def test_a_phone_shows_the_page_without_scrolling_it_sideways(file: Path, open_page: OpenPage) -> None:
    page = open_page(file, viewport={"width": 360, "height": 780})
    page.get_by_role("button", name="net0", exact=True).click()
    page.get_by_role("button", name="noise (2)").click()
    page.get_by_text("How to read these tables").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.evaluate("window.scrollTo(100, 0)")
    assert page.evaluate("scrollX") == 0
    entry = page.locator("tbody .entry").first
    page.evaluate("document.querySelector('.board').scrollLeft = 300")
    assert entry.bounding_box()["x"] >= 0  # it stays beside the numbers
    assert entry.get_by_text("CGNet + FCNHead · 0.40 M · 1 seed").is_visible()


def test_the_theme_follows_the_system_until_the_button_is_used(file: Path, open_page: OpenPage) -> None:
    page = open_page(file, color_scheme="dark")
    read = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(read)
    page.get_by_role("button", name="Light theme").click()
    light = page.evaluate(read)
    assert light != dark
    page.reload()
    assert page.evaluate(read) == light
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(read) == dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_rule_of_accessibility_is_broken(file: Path, open_page: OpenPage, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing: run  make setup-browser")
    page = open_page(file, color_scheme=theme)
    page.get_by_role("button", name="net1", exact=True).click()
    page.get_by_role("button", name="noise (2)").click()
    page.locator(".sheet summary").first.click()
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_number_in_a_heat_map_can_be_read(file: Path, open_page: OpenPage, theme: str) -> None:
    """Axe leaves drawings out: a contrast of 4.5 at least for each tint of both scales (WCAG 2, by its formula)."""
    page = open_page(file, color_scheme=theme)
    places = [index / 40 for index in range(41)]
    specs = [
        {
            "kind": "heatmap",
            "title": k,
            "rows": ["a"],
            "columns": [str(p) for p in places],
            "values": [places],
            "scale": k,
            "low": 0,
            "high": 1,
        }
        for k in ("sequential", "diverging")
    ]
    pairs = page.evaluate(
        """specs => specs.flatMap(spec => {
          const figure = buildChart(spec, 600);
          document.body.append(figure);
          const read = (kind) => [...figure.querySelectorAll(kind)].map(element => getComputedStyle(element).fill);
          const inks = read(".number");
          return read(".cell").map((fill, index) => [fill, inks[index]]);
        })""",
        specs,
    )
    assert len(pairs) == 82
    assert min(measure_contrast(*pair) for pair in pairs) >= 4.5


def measure_contrast(first: str, second: str) -> float:
    """Return the contrast of two CSS colours by WCAG 2."""

    def measure(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((measure(first), measure(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_tables_can_be_read_without_a_script(file: Path, open_page: OpenPage) -> None:
    page = open_page(file, java_script_enabled=False)
    assert page.locator("tbody .entry", has_text="net0").first.is_visible()
    assert page.get_by_text("89.0 to 91.0").is_visible()
    assert page.locator("form.filters").is_hidden()
    page.locator("summary", has_text="noise (2 columns)").click()
    assert page.locator("details[open] td").first.inner_text() == "80.0"
