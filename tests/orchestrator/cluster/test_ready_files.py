"""The files that start clusters, against the schemas of what reads them."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchestrator.cluster import READY_FILES, read_ready_file

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "orchestrator" / "cluster"
IMAGE = "registry.example.com/segshift"


def read_pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def read_version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load(read_ready_file(name))


def test_every_file_is_listed_and_installed() -> None:
    listed = {ready.file for ready in READY_FILES.values()}
    there = {file.name for file in FOLDER.iterdir() if file.is_file() and file.suffix not in (".py", ".dockerignore")}
    assert listed == there
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert all(any(Path(name).match(pattern) for pattern in patterns["orchestrator.cluster"]) for name in there)


@pytest.mark.parametrize("name", ["onprem", "aws", "gcp", "kuberay", "kueue", "slurm"])
def test_what_a_user_must_fill_in_is_marked(name: str) -> None:
    text = read_ready_file(name)
    placeholders = re.compile(
        r"\b(BUCKET|PROJECT|ACCOUNT|FILESYSTEM|FAMILY|FILESTORE_IP|registry\.example\.com|10\.0\.0\.\d)"
    )
    unmarked = [
        line
        for line in text.splitlines()
        if placeholders.search(line) and not line.startswith("#") and "EDIT" not in line
    ]
    if name == "kuberay":  # the line above it is marked: a folded text takes no comments
        unmarked = [line for line in unmarked if "segshift sweep" not in line]
    assert unmarked == []
    assert "EDIT" in text


@pytest.mark.parametrize("name", ["aws", "gcp", "kuberay"])
def test_every_machine_has_the_image_of_this_version(name: str) -> None:
    images = re.findall(r"image: (\S+)", re.sub(r"sourceImage: \S+", "", read_ready_file(name)))
    assert images
    assert set(images) == {f"{IMAGE}:{read_version()}"}


def test_the_dockerfile_builds_that_image() -> None:
    assert f"-t {IMAGE}:{read_version()} ." in read_ready_file("docker")


# Ray's cluster launcher: its own schema, shipped with it, and the checks it runs before it calls a cloud.


@pytest.mark.parametrize("name", ["onprem", "aws", "gcp"])
def test_ray_up_understands_it(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(load(name))
    validate_config(prepared)
    types = prepared["available_node_types"]
    assert prepared["head_node_type"] in types
    assert all("max_workers" in node_type for node_type in types.values())


def test_ray_up_refuses_a_key_that_it_does_not_know() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config({**load("aws"), "max_worker": 3}))


@pytest.mark.parametrize("name", ["onprem", "aws", "gcp"])
def test_ray_starts_with_a_token_and_a_dashboard_on_localhost(name: str) -> None:
    cluster = load(name)
    assert cluster["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    head, worker = cluster["head_start_ray_commands"][-1], cluster["worker_start_ray_commands"][-1]
    for command in (head, worker):
        assert command.startswith("export RAY_AUTH_MODE=token")
    assert "--dashboard-host=127.0.0.1" in head
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert "--address=$RAY_HEAD_IP:6379" in worker


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Ray's command line imports
@pytest.mark.parametrize("name", ["onprem", "aws", "gcp"])
def test_the_options_of_ray_start_are_rays(name: str) -> None:
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    commands = [*load(name)["head_start_ray_commands"], *load(name)["worker_start_ray_commands"]]
    used = {option for command in commands for option in re.findall(r" (--[a-z-]+)", command)}
    assert used
    assert used <= known


def test_onprem_starts_every_machine() -> None:
    cluster = load("onprem")
    assert cluster["min_workers"] == cluster["max_workers"] == len(cluster["provider"]["worker_ips"])


def test_aws_has_an_on_demand_head_and_spot_workers() -> None:
    types = load("aws")["available_node_types"]
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    assert types["gpu_spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["gpu_spot"]["min_workers"] == 0
    assert types["gpu_spot"]["resources"]["GPU"] == 1


def test_gcp_has_an_on_demand_head_and_spot_workers() -> None:
    types = load("gcp")["available_node_types"]
    assert "scheduling" not in types["head"]["node_config"]
    (scheduling,) = types["gpu_spot"]["node_config"]["scheduling"]
    assert scheduling["provisioningModel"] == "SPOT"
    assert scheduling["onHostMaintenance"] == "TERMINATE"
    assert types["gpu_spot"]["resources"]["GPU"] == 1


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_no_task_runs_on_a_clouds_head(name: str) -> None:
    assert load(name)["available_node_types"]["head"]["resources"] == {"CPU": 0}


# KubeRay v1 and Kueue v1beta2: the fields that the files use, as their API references give them
# (docs.ray.io/en/master/cluster/kubernetes/references/api.html, kueue.sigs.k8s.io/docs/reference/kueue.v1beta2).

TEXT, FLAG, COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
LABEL_VALUES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[A-Za-z0-9._-]{0,63}$"}}
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def listed(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TOLERATION = closed(
    ["effect"],
    key=TEXT,
    value=TEXT,
    operator={"enum": ["Exists", "Equal"]},
    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
)
CONTAINER = closed(
    ["name", "image", "resources"],
    name=NAME,
    image=TEXT,
    ports=listed(
        closed(["containerPort"], containerPort={"type": "integer", "minimum": 1, "maximum": 65535}, name=NAME)
    ),
    env=listed(
        {
            "oneOf": [
                closed(["name", "value"], name=TEXT, value=TEXT),
                closed(
                    ["name", "valueFrom"],
                    name=TEXT,
                    valueFrom=closed(["secretKeyRef"], secretKeyRef=closed(["name", "key"], name=NAME, key=TEXT)),
                ),
            ]
        }
    ),
    resources=closed(["requests", "limits"], requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=listed(closed(["name", "mountPath"], name=NAME, mountPath=TEXT, readOnly=FLAG)),
)
VOLUME = closed(
    ["name"],
    name=NAME,
    persistentVolumeClaim=closed(["claimName"], claimName=NAME, readOnly=FLAG),
    emptyDir=closed([], medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY),
)
POD = closed(
    ["spec"],
    spec=closed(
        ["containers"],
        containers=listed(CONTAINER),
        volumes=listed(VOLUME),
        tolerations=listed(TOLERATION),
        terminationGracePeriodSeconds=COUNT,
        securityContext=closed([], runAsUser=COUNT, runAsNonRoot=FLAG, fsGroup=COUNT),
    ),
)
START_PARAMETERS = {"type": "object", "additionalProperties": TEXT}  # texts, numbers too: the operator refuses others
RAYJOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed([], name=NAME, generateName=TEXT, namespace=NAME, labels=LABEL_VALUES),
    spec=closed(
        ["entrypoint", "rayClusterSpec"],
        entrypoint=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        entrypointNumCpus={"type": "number"},
        shutdownAfterJobFinishes=FLAG,
        ttlSecondsAfterFinished=COUNT,
        backoffLimit=COUNT,
        suspend=FLAG,
        rayClusterSpec=closed(
            ["headGroupSpec"],
            rayVersion=TEXT,
            authOptions=closed([], mode={"enum": ["token", "disabled"]}),
            enableInTreeAutoscaling=FLAG,
            headGroupSpec=closed(["template"], rayStartParams=START_PARAMETERS, template=POD),
            workerGroupSpecs=listed(
                closed(
                    ["groupName", "template", "minReplicas", "maxReplicas"],
                    groupName=NAME,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=START_PARAMETERS,
                    template=POD,
                )
            ),
        ),
    ),
)
KUEUE = {
    "Namespace": closed(
        ["apiVersion", "kind", "metadata"], apiVersion={"const": "v1"}, kind=TEXT, metadata=closed(["name"], name=NAME)
    ),
    "ResourceFlavor": closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "kueue.x-k8s.io/v1beta2"},
        kind=TEXT,
        metadata=closed(["name"], name=NAME),
        spec=closed(
            [],
            nodeLabels=LABEL_VALUES,
            nodeTaints=listed(
                closed(["key", "effect"], key=TEXT, value=TEXT, effect=TOLERATION["properties"]["effect"])
            ),
            tolerations=listed(TOLERATION),
        ),
    ),
    "ClusterQueue": closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "kueue.x-k8s.io/v1beta2"},
        kind=TEXT,
        metadata=closed(["name"], name=NAME),
        spec=closed(
            ["resourceGroups"],
            namespaceSelector=closed([], matchLabels=LABEL_VALUES),
            queueingStrategy={"enum": ["StrictFIFO", "BestEffortFIFO"]},
            preemption=closed([], withinClusterQueue={"enum": ["Never", "LowerPriority", "LowerOrNewerEqualPriority"]}),
            resourceGroups=listed(
                closed(
                    ["coveredResources", "flavors"],
                    coveredResources=listed(TEXT),
                    flavors=listed(
                        closed(
                            ["name", "resources"],
                            name=NAME,
                            resources=listed(closed(["name", "nominalQuota"], name=TEXT, nominalQuota=QUANTITY)),
                        )
                    ),
                )
            ),
        ),
    ),
    "LocalQueue": closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "kueue.x-k8s.io/v1beta2"},
        kind=TEXT,
        metadata=closed(["name", "namespace"], name=NAME, namespace=NAME),
        spec=closed(["clusterQueue"], clusterQueue=NAME),
    ),
}


def load_kueue() -> dict[str, list[dict[str, Any]]]:
    documents: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(read_ready_file("kueue")):
        documents.setdefault(document["kind"], []).append(document)
    return documents


def read_pods(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    return cluster["headGroupSpec"]["template"]["spec"], group["template"]["spec"]


def test_the_rayjob_fits_its_schema() -> None:
    jsonschema.validate(load("kuberay"), RAYJOB)


def test_the_schema_refuses_a_number_among_start_parameters() -> None:
    job = copy.deepcopy(load("kuberay"))
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAYJOB)


def test_kueues_objects_fit_their_schemas() -> None:
    documents = load_kueue()
    assert {kind: len(objects) for kind, objects in documents.items()} == {
        "Namespace": 1, "ResourceFlavor": 2, "ClusterQueue": 1, "LocalQueue": 1,
    }  # fmt: skip
    for kind, objects in documents.items():
        for document in objects:
            jsonschema.validate(document, KUEUE[kind])


def test_the_rayjob_has_the_locked_ray_and_no_task_on_its_head() -> None:
    cluster = load("kuberay")["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == read_pins()["ray"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["authOptions"] == {"mode": "token"}
    head, worker = (pod["containers"][0]["resources"] for pod in read_pods(load("kuberay")))
    assert "nvidia.com/gpu" not in head["requests"]
    assert worker["requests"]["nvidia.com/gpu"] == worker["limits"]["nvidia.com/gpu"] == "1"
    assert head["requests"] == head["limits"]
    assert worker["requests"] == worker["limits"]


def test_kueue_can_admit_the_rayjob() -> None:
    job, kueue = load("kuberay"), load_kueue()
    spec, (group,) = job["spec"], job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert "suspend" not in spec
    assert spec["rayClusterSpec"]["enableInTreeAutoscaling"] is False
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
    (local,), (queue,) = kueue["LocalQueue"], kueue["ClusterQueue"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local["metadata"]["name"]
    assert job["metadata"]["namespace"] == local["metadata"]["namespace"]
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]
    (resources,) = queue["spec"]["resourceGroups"]
    flavors = {flavor["metadata"]["name"]: flavor["spec"] for flavor in kueue["ResourceFlavor"]}
    assert [flavor["name"] for flavor in resources["flavors"]] == list(flavors)
    quotas = []
    for flavor in resources["flavors"]:
        assert [resource["name"] for resource in flavor["resources"]] == resources["coveredResources"]
        quotas.append({r["name"]: int(r["nominalQuota"].removesuffix("Gi")) for r in flavor["resources"]})
    head, worker = (
        {name: int(amount.removesuffix("Gi")) for name, amount in pod["containers"][0]["resources"]["requests"].items()}
        for pod in read_pods(job)
    )
    on_demand, spot = quotas
    assert all(amount <= on_demand[name] for name, amount in head.items())
    assert worker["nvidia.com/gpu"] > on_demand["nvidia.com/gpu"], "workers do not fit the flavour of heads"
    assert all(group["replicas"] * amount <= spot[name] for name, amount in worker.items())
    tolerated = {(t["key"], t.get("value")) for t in read_pods(job)[1]["tolerations"]}
    assert {(taint["key"], taint["value"]) for taint in flavors["segshift-gpu-spot"]["nodeTaints"]} <= tolerated


def test_pods_mount_the_volumes_that_they_name() -> None:
    for pod in read_pods(load("kuberay")):
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_rayjobs_command_line_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.cli.main import parse

    program, *arguments = load("kuberay")["spec"]["entrypoint"].split()
    options = parse(arguments)
    assert (program, options.command, options.experiment, options.address) == (
        "segshift",
        "sweep",
        "gta2cityscapes",
        "auto",
    )
