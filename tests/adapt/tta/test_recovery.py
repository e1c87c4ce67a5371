"""What is not finite: where it is seen, what the policies do, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adapt.settings import Settings
from adapt.tta.method import Method, NotFiniteError, Outcome, check_finite_loss
from adapt.tta.recovery import Guard

LABEL = np.zeros((2, 2), np.uint8)
NAN = float("nan")


class Counter(Method[Settings]):
    """Adds the sum of the image to its one weight, and predicts the weight before that as the logit of class 1.

    An image of 1000 breaks the loss, 2000 the prediction, 3000 the parameters; 4000 every prediction there is.
    """

    updates = "one weight"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    def configure(self) -> None:
        self.batch_norm = "source"
        self.seen = 0
        self.saved = 0

    def own_state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_own_state(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def save(self):
        self.saved += 1
        return super().save()

    def predict(self, images: Tensor) -> Tensor:
        weight = self.model.weight.detach()[0, 0]
        return torch.stack([torch.zeros(2, 2), weight.expand(2, 2) * (NAN if images.sum() == 4000 else 1)])[None]

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        value = float(images.sum())
        if value in (1000, 4000):
            check_finite_loss(torch.tensor(NAN))
        logits = self.predict(images)
        self.seen += 1
        with torch.no_grad():
            self.model.weight.add_(NAN if value == 3000 else value)
        return Outcome(logits * (NAN if value == 2000 else 1), loss=value, updates=1, notes={"seen": self.seen})


def build(policy: str) -> Guard:
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    return Guard(Counter(Settings(), model, nn.Module.__call__, 2), policy, 2)


def image(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def predict_one(done) -> float:
    return float(done.outcome.logits[0, 1, 0, 0])


PROBLEMS = {1000: "loss", 2000: "prediction", 3000: "parameters"}


@pytest.mark.parametrize("value", PROBLEMS)
def test_restore_goes_back_to_the_state_after_the_last_good_frame(value):
    guard = build("restore")
    assert predict_one(guard.adapt(image(2), LABEL)) == 1
    assert predict_one(guard.adapt(image(4), LABEL)) == 3
    done = guard.adapt(image(value), LABEL)
    assert done.recovered == PROBLEMS[value]
    assert predict_one(done) == 7
    assert (done.outcome.loss, done.outcome.updates, dict(done.outcome.notes)) == (None, 0, {})
    assert done.counts.confusion.tolist() == [[0, 4], [0, 0]]
    after = guard.adapt(image(1), LABEL)
    assert (predict_one(after), after.recovered) == (7, None)
    assert dict(after.outcome.notes) == {"seen": 3}  # the method's own state went back too
    assert predict_one(guard.adapt(image(value), LABEL)) == 8  # a second time, from the new last good state


@pytest.mark.parametrize("value", PROBLEMS)
def test_reset_goes_back_to_the_start(value):
    guard = build("reset")
    guard.adapt(image(2), LABEL)
    done = guard.adapt(image(value), LABEL)
    assert (done.recovered, predict_one(done)) == (PROBLEMS[value], 1)
    assert dict(guard.adapt(image(5), LABEL).outcome.notes) == {"seen": 1}


@pytest.mark.parametrize("value", PROBLEMS)
def test_a_first_frame_that_breaks_is_restored_from_the_start(value):
    guard = build("restore")
    assert predict_one(guard.adapt(image(value), LABEL)) == 1
    guard.adapt(image(2), LABEL)
    guard.reset()  # by the reset policy: what was good before it is gone
    assert predict_one(guard.adapt(image(value), LABEL)) == 1


@pytest.mark.parametrize(("value", "cause"), [(1000, "The loss .*nan"), (2000, "The prediction"), (3000, "The update")])
def test_stop_says_what_was_not_finite(value, cause):
    guard = build("stop")
    guard.adapt(image(2), LABEL)
    with pytest.raises(NotFiniteError, match=cause + r".*`lr`"):
        guard.adapt(image(value), LABEL)


@pytest.mark.parametrize(
    ("policy", "state"), [("restore", "the state after the last good frame"), ("reset", "the method's start")]
)
def test_a_frame_without_any_finite_prediction_stops_the_stream(policy, state):
    guard = build(policy)
    guard.adapt(image(2), LABEL)
    with pytest.raises(NotFiniteError, match=f"The loss .*From {state} the prediction is not finite either"):
        guard.adapt(image(4000), LABEL)


@pytest.mark.parametrize(("policy", "copies"), [("stop", 0), ("reset", 0), ("restore", 3)])
def test_only_restore_copies_states(policy, copies):
    guard = build(policy)
    before = guard.method.saved
    for value in (1, 2, 3):
        guard.adapt(image(value), LABEL)
    assert guard.method.saved - before == copies


def test_a_copy_shares_nothing_with_the_model():
    guard = build("restore")
    guard.adapt(image(2), LABEL)
    guard.adapt(image(3000), LABEL)
    guard.adapt(image(3000), LABEL)
    assert predict_one(guard.adapt(image(1), LABEL)) == 3
    assert guard.adapt(image(1), LABEL).seconds > 0
