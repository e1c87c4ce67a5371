"""`segshift report`: a page whatever there is of an experiment, and where it went."""

from __future__ import annotations

from pathlib import Path


def test_an_experiment_that_never_ran_has_a_page_that_says_what_to_run(segshift, tiny: Path, tmp_path: Path) -> None:
    done = segshift("report", tiny)
    file = tmp_path / "store" / "leaderboards" / "tiny-full" / "report.html"
    assert done.code == 1
    assert done.out.splitlines() == [str(file), "0 of 8 tasks are done; the page says what is missing."]
    page = file.read_text()
    assert "None of the 8 tasks has run yet." in page
    assert f"segshift sweep {tiny} --profile full" in page
    assert "does the whole path run" in page


def test_the_sweep_it_names_has_the_same_store_and_overrides(segshift, tiny: Path, tmp_path: Path) -> None:
    segshift("report", tiny, "matrix.seed=[0, 1]", "--store", "elsewhere", "--html", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "matrix.seed=[0, 1]&#39; --profile full --store elsewhere" in page
    assert "None of the 16 tasks has run yet." in page


def test_a_page_that_cannot_be_written_is_said(segshift, tiny: Path, tmp_path: Path) -> None:
    done = segshift("report", tiny, "--html", tmp_path / "no" / "page.html")
    assert (done.code, "cannot be written" in done.err) == (2, True)


def test_an_unknown_experiment_is_refused(segshift) -> None:
    done = segshift("report", "gta2citiscapes")
    assert (done.code, "Did you mean 'gta2cityscapes'?" in done.err) == (2, True)
