"""What tasks ask Ray for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from experiments.schema import ResourceSettings
from orchestrator.request import ask, list_bundle, list_options


def test_a_task_asks_for_what_its_stage_says(make_task) -> None:
    task = make_task(
        "a", "train", resources={"cpus": 2, "memory_gb": 1, "custom": {"rig": 0.5}, "labels": {"zone": "!eu"}}
    )
    assert ask(task) == {
        "num_cpus": 2, "num_gpus": 0, "memory": 2**30, "resources": {"rig": 0.5}, "label_selector": {"zone": "!eu"},
    }  # fmt: skip


def test_a_task_that_starts_workers_asks_for_nothing_itself(make_task) -> None:
    """Else a machine that the workers fill would never start them."""
    parallel = make_task("a", "train", resources={"cpus": 1, "gpus": 1, "memory_gb": 1}, training={"workers": 2})
    assert ask(parallel) == {"num_cpus": 0}
    assert ask(make_task("b", "benchmark", shards=2)) == {"num_cpus": 0}


def test_ray_takes_these_options() -> None:
    import ray

    wanted = ResourceSettings(cpus=0.5, gpus=0.25, memory_gb=1, custom={"rig": 1}, labels={"zone": "in(a, b)"})
    ray.remote(**list_options(wanted))(lambda: None)  # refuses what it does not understand
    ray.remote(**list_options(ResourceSettings()))(lambda: None)


def test_a_bundle_holds_what_is_asked_for_and_nothing_of_what_is_not() -> None:
    assert list_bundle(ResourceSettings(cpus=2)) == {"CPU": 2}
    full = ResourceSettings(cpus=2, gpus=0.5, memory_gb=3, custom={"rig": 1})
    assert list_bundle(full) == {"CPU": 2, "GPU": 0.5, "memory": 3 * 2**30, "rig": 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gpus": 1.5}, "`gpus` is a fraction below 1 or a whole number, got 1.5"),
        ({"custom": {"rig": 2.5}}, "`rig` is a fraction below 1 or a whole number"),
        ({"custom": {"GPU": 1}}, "write `gpus`"),
        ({"custom": {"rig": 0}}, "greater than 0"),
        ({"labels": {"zone": "a or b"}}, "match pattern"),
    ],
)
def test_what_ray_would_refuse_later_is_refused_at_once(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ResourceSettings.model_validate(wrong)
    assert message in str(caught.value)
