"""Descriptions of clusters: what is refused, and the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapt.errors import SpecError
from orchestrator.simulation.cluster import list_examples, load_cluster


def write(folder: Path, text: str) -> str:
    file = folder / "cluster.yaml"
    file.write_text(text)
    return str(file)


def test_every_example_loads_and_says_where_its_numbers_are_from() -> None:
    examples = list_examples()
    assert sorted(examples) == ["h100_on_demand", "spot_mix", "workstation"]
    for name, file in examples.items():
        assert load_cluster(name) == load_cluster(str(file))
        assert "ours, an example" in file.read_text()
    assert load_cluster("spot_mix").count("GPU") == 64
    assert load_cluster("h100_on_demand").multiplied(2).count("GPU") == 128
    assert len(load_cluster("spot_mix").list_nodes()) == 8
    assert load_cluster("workstation").describe() == "1 x workstation (32 CPU, 2 GPU, 128 GB)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nodes:\n  a: {count: 1, cpus: 4, memory_gb: 8, gpu: 2}\n",
            r"cluster.yaml:2: nodes.a.gpu: unknown key 'gpu'. Did",
        ),
        (
            "nodes:\n  a: {count: 0, cpus: 4, memory_gb: 8}\n",
            r"cluster.yaml:2: nodes.a.count: input should be greater than 0",
        ),
        ("nodes: {}\n", "at least 1 item"),
        ("title: none\n", "nodes: this key is required"),
        ("nodes:\n  a: {count: 1, cpus: 4, memory_gb: 8, spot: true}\n", "needs `mean_hours_between_failures`"),
        ("nodes: [\n", "not valid YAML"),
        ("nodes:\n  a: {count: 1, cpus: .inf, memory_gb: 8}\n", "finite number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_cluster(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named_with_the_closest_example() -> None:
    with pytest.raises(SpecError, match=r"--cluster spotmix: there is no such file.*Did you mean 'spot_mix'\?"):
        load_cluster("spotmix")
