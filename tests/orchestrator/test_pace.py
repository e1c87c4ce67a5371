"""Steps a second, against times and steps by hand."""

from __future__ import annotations

import pytest

from orchestrator.pace import WINDOW_S, Pace


def observe(*reports: tuple[float, float | None]) -> Pace:
    """Have one task report (time, step)."""
    pace = Pace()
    for now, step in reports:
        pace.observe({"k": {} if step is None else {"step": step}}, now)
    return pace


@pytest.mark.parametrize(
    ("reports", "now", "rate"),
    [
        ([(0, 10)], 5, None),
        ([(0, None), (20, 0), (30, 50)], 30, 5.0),  # what came before the first step is loading
        ([(0, 10), (1, 10), (2, 10), (5, 20)], 6, 2.0),  # looked at more often than it reports
        ([(0, 0), (10, 100), (20, 120), (40, 160), (50, 180)], 50, 2.0),  # the first ten seconds are out of the window
        ([(0, 1000), (10, 2000), (20, 500), (30, 510)], 30, 1.0),  # it died and goes on from step 500
        ([(0, 0), (100, 1)], 150, 0.01),  # a slow one is between two reports
        ([(0, 0), (10, 10)], 10 + WINDOW_S, 1.0),
        ([(0, 0), (10, 10)], 100, 0.1),  # it stalls
    ],
)
def test_steps_a_second(reports, now: float, rate: float | None) -> None:
    assert observe(*reports).rate("k", now) == (None if rate is None else pytest.approx(rate))


def test_seconds_count_from_the_first_look_and_end_with_the_task() -> None:
    pace = observe((100, None), (130, 5))
    assert pace.seconds("k", 140) == 40
    assert pace.seconds("other", 140) is None
    pace.observe({}, 150)
    assert pace.seconds("k", 150) is None
    assert pace.rate("k", 150) is None
