"""The longest remaining path, against a recursion that tries every chain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.priority import longest_remaining


def test_worked_by_hand() -> None:
    """A 4 -> C 3 -> E 1; B 2 -> D 9; A -> D."""
    seconds = {"a": 4.0, "b": 2.0, "c": 3.0, "d": 9.0, "e": 1.0}
    needs = {"c": ["a"], "d": ["b", "a"], "e": ["c"]}
    assert longest_remaining(seconds, needs) == {"a": 13.0, "b": 11.0, "c": 4.0, "d": 9.0, "e": 1.0}


def test_what_is_done_does_not_count() -> None:
    assert longest_remaining({"b": 2.0}, {"b": ["a", "a"], "a": []}) == {"b": 2.0}


def test_an_input_in_two_roles_counts_once() -> None:
    assert longest_remaining({"a": 1.0, "b": 2.0}, {"b": ["a", "a"]}) == {"a": 3.0, "b": 2.0}


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="2 tasks need each other"):
        longest_remaining({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": ["b"], "b": ["a"]})


@given(st.data())
def test_against_every_chain(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9))
    seconds = {str(i): float(data.draw(st.integers(0, 5))) for i in range(count)}
    needs = {str(i): data.draw(st.lists(st.integers(0, i - 1).map(str), max_size=3)) if i else [] for i in range(count)}

    def follow(key: str) -> float:
        return seconds[key] + max((follow(other) for other in seconds if key in needs[other]), default=0.0)

    assert longest_remaining(seconds, needs) == {key: follow(key) for key in seconds}


def test_a_chain_of_a_hundred_thousand_overflows_no_stack() -> None:
    count = 100_000
    found = longest_remaining({str(i): 1.0 for i in range(count)}, {str(i): [str(i - 1)] for i in range(1, count)})
    assert found["0"] == count
