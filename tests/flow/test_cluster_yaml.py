"""The files of clusters against the rules of those who will read them, without an account or a cluster."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import botocore.validate  # type: ignore[import-untyped]
import jsonschema
import pytest
import ray.autoscaler
import yaml

from tests.conftest import ROOT

SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$"}
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """A mapping with these keys and no others."""
    properties = {**required, **optional}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
LABELS = closed({"labels": mapping({"type": "string"})})
# of the autoscaler, a container that KubeRay makes and whose files are its own
RESTRICTED = {"const": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
READ_ONLY = {"const": {**RESTRICTED["const"], "readOnlyRootFilesystem": True}}
TEMPLATE = closed(
    {
        "metadata": LABELS,
        "spec": closed(
            {
                "securityContext": closed(
                    {
                        "runAsNonRoot": {"const": True},
                        "runAsUser": {"type": "integer", "minimum": 1},
                        "runAsGroup": COUNT,
                        "seccompProfile": {"const": {"type": "RuntimeDefault"}},
                    }
                ),
                "volumes": array(closed({"name": NAME, "emptyDir": closed({})})),
                "containers": array(
                    closed(
                        {
                            "name": NAME,
                            "image": {"type": "string", "pattern": "^REGISTRY/tikval@sha256:[A-Z_]+$"},
                            "resources": closed({"requests": mapping(QUANTITY), "limits": mapping(QUANTITY)}),
                            "securityContext": READ_ONLY,
                            "volumeMounts": array(closed({"name": NAME, "mountPath": {"const": "/tmp"}})),
                        },
                        envFrom=array(
                            closed({"secretRef": closed({"name": NAME}, optional={"type": "boolean"})})
                        ),
                        ports=array(closed({"containerPort": COUNT, "name": NAME})),
                    )
                ),
            },
            serviceAccountName=NAME,
            automountServiceAccountToken={"type": "boolean"},
            restartPolicy={"enum": ["Never", "OnFailure"]},
            nodeSelector=mapping(TEXT),
            tolerations=array(
                closed(
                    {"key": TEXT},
                    operator={"enum": ["Exists", "Equal"]},
                    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                )
            ),
        ),
    }
)
# the fields that docs/rayjob.yaml uses, as the types of KubeRay's RayJob and RayClusterSpec have them
RAYJOB = closed(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": closed(
            {"name": {**NAME, "maxLength": 47}}
        ),  # longer ones leave no room for what it makes
        "spec": closed(
            {
                "entrypoint": TEXT,
                "rayClusterSpec": closed(
                    {
                        "rayVersion": TEXT,
                        "headGroupSpec": closed({"rayStartParams": mapping(TEXT), "template": TEMPLATE}),
                        "workerGroupSpecs": array(
                            closed(
                                {
                                    "groupName": NAME,
                                    "replicas": COUNT,
                                    "minReplicas": COUNT,
                                    "maxReplicas": COUNT,
                                    "rayStartParams": mapping(TEXT),
                                    "template": TEMPLATE,
                                }
                            )
                        ),
                    },
                    enableInTreeAutoscaling={"type": "boolean"},
                    autoscalerOptions=closed(
                        {},
                        idleTimeoutSeconds=COUNT,
                        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
                        securityContext=RESTRICTED,
                    ),
                    authOptions=closed({"mode": {"enum": ["disabled", "token"]}}),
                ),
            },
            submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
            backoffLimit=COUNT,
            submitterPodTemplate=TEMPLATE,
            shutdownAfterJobFinishes={"type": "boolean"},
            ttlSecondsAfterFinished=COUNT,
            runtimeEnvYAML={"type": "string"},
        ),
    }
)


SELECTOR = closed({}, matchLabels=mapping(TEXT))
PEER = {
    "oneOf": [
        closed({"podSelector": SELECTOR}, namespaceSelector=SELECTOR),
        closed({"namespaceSelector": SELECTOR}),
        closed({"ipBlock": closed({"cidr": TEXT}, **{"except": array(TEXT)})}),
    ]
}
PORT = closed(
    {
        "protocol": {"enum": ["TCP", "UDP", "SCTP"]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    }
)
# the fields that docs/networkpolicy.yaml uses, as networking.k8s.io/v1 has them
NETWORK_POLICY = closed(
    {
        "apiVersion": {"const": "networking.k8s.io/v1"},
        "kind": {"const": "NetworkPolicy"},
        "metadata": closed({"name": NAME}),
        "spec": closed(
            {
                "podSelector": SELECTOR,
                "policyTypes": {"const": ["Ingress", "Egress"]},
                "ingress": array(closed({"from": array(PEER)}, ports=array(PORT))),
                "egress": array(closed({}, to=array(PEER), ports=array(PORT))),
            }
        ),
    }
)


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def put(data: Any, key: str, value: Any) -> Any:
    """A copy with one key changed, or added."""
    data = copy.deepcopy(data)
    *parents, leaf = key.split("/")
    node = data
    for parent in parents:
        node = node[int(parent) if parent.isdecimal() else parent]
    node[leaf] = value
    return data


# cluster.yaml


def test_the_launcher_takes_cluster_yaml() -> None:
    jsonschema.validate(load("cluster.yaml"), SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_worker", 3),
        ("available_node_types/cpu/max_worker", 3),
        ("available_node_types/cpu/max_workers", "ten"),
        ("available_node_types/gpu/docker/image", "x"),
        ("setup_commands", "apt-get update"),
        ("auth/user", "ubuntu"),
    ],
)
def test_a_typo_in_cluster_yaml_is_seen(key: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(put(load("cluster.yaml"), key, value), SCHEMA)


def wrong_nodes(cluster: Any) -> list[str]:
    """What AWS's own model of RunInstances says against the machines asked for."""
    shape = (
        botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    )
    message = []
    for name, kind in cluster["available_node_types"].items():
        asked = {"ImageId": "ami-0", "MinCount": 1, "MaxCount": 1, **kind["node_config"]}
        report = botocore.validate.ParamValidator().validate(asked, shape)
        message += [f"{name}: {report.generate_report()}"] if report.has_errors() else []
    return message


def test_aws_knows_the_machines_settings() -> None:
    cluster = load("cluster.yaml")
    assert not wrong_nodes(cluster)
    config = "available_node_types/gpu/node_config"
    assert "InstanceTyp" in wrong_nodes(put(cluster, f"{config}/InstanceTyp", "g6.xlarge"))[0]
    assert "MarketTyp" in wrong_nodes(put(cluster, f"{config}/InstanceMarketOptions/MarketTyp", "spot"))[0]


def test_cluster_yaml_fits_together() -> None:
    cluster = load("cluster.yaml")
    kinds = dict(cluster["available_node_types"])
    head = kinds.pop(cluster["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert cluster["max_workers"] == sum(kind["max_workers"] for kind in kinds.values())
    assert [name for name, kind in kinds.items() if "InstanceMarketOptions" in kind["node_config"]] == ["gpu"]
    assert "InstanceMarketOptions" not in head["node_config"]  # without its head a cluster is gone
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token ray start" in commands[-1]
    assert any("auth_token" in place for place in cluster["file_mounts"])
    [project] = [there for there, here in cluster["file_mounts"].items() if here == "."]
    assert any(f"-e '{project}[local]'" in command for command in cluster["setup_commands"])


# docs/aws

# what Ray's launcher does on the head, by the name that an allowance has
ACTIONS = {
    "instances.filter": "DescribeInstances",
    "create_instances": "RunInstances",
    "create_tags": "CreateTags",
    "terminate_instances": "TerminateInstances",
    "describe_images": "DescribeImages",
}
OF_STOPPED_NODES = {"start_instances", "stop_instances"}  # cache_stopped_nodes: false


def allowed(path: str) -> set[str]:
    return {
        action
        for statement in json.loads((ROOT / path).read_text())["Statement"]
        for actions in (statement["Action"],)
        for action in ([actions] if isinstance(actions, str) else actions)
    }


def test_the_head_may_do_what_ray_does_there_and_no_more() -> None:
    source = (Path(ray.autoscaler.__file__).parent / "_private/aws/node_provider.py").read_text()
    calls = set(re.findall(r"self\.ec2(?:_fail_fast)?\.(?:meta\.client\.)?((?:instances\.)?\w+)", source)) - {
        "meta"
    }
    assert not load("cluster.yaml")["provider"]["cache_stopped_nodes"]
    assert calls - OF_STOPPED_NODES == set(ACTIONS)
    assert allowed("docs/aws/head.json") == {f"ec2:{action}" for action in ACTIONS.values()} | {
        "iam:PassRole"
    }
    known = botocore.session.get_session().get_service_model("ec2").operation_names
    assert set(ACTIONS.values()) <= set(known)


def test_what_starts_or_ends_machines_is_held_to_this_cluster() -> None:
    name = load("cluster.yaml")["cluster_name"]
    statements = json.loads((ROOT / "docs/aws/head.json").read_text())["Statement"]
    [end] = [each for each in statements if "ec2:TerminateInstances" in each["Action"]]
    assert end["Condition"] == {"StringEquals": {"ec2:ResourceTag/ray-cluster-name": name}}
    [start] = [each for each in statements if each["Action"] == "ec2:RunInstances" and "Condition" in each]
    assert start["Condition"] == {"StringEquals": {"aws:RequestTag/ray-cluster-name": name}}
    assert all(each["Resource"] != "*" for each in statements if each["Sid"] != "Look")


def test_the_roles_of_the_machines_are_those_of_the_documents() -> None:
    nodes = load("cluster.yaml")["available_node_types"]
    profiles = {name: node["node_config"]["IamInstanceProfile"]["Name"] for name, node in nodes.items()}
    assert profiles == {"head": "tikval-head", "cpu": "tikval-workers", "gpu": "tikval-workers"}
    text = (ROOT / "docs/cluster.md").read_text()
    assert "FullAccess" not in text
    for role in set(profiles.values()):
        assert f"--instance-profile-name {role} --role-name {role}" in text
    assert {action.partition(":")[0] for action in allowed("docs/aws/workers.json")} == {"s3"}


def test_the_images_hold_the_ray_that_the_project_pins() -> None:
    [pinned] = [
        name
        for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        if name.startswith("ray[")
    ]
    cluster, job = load("cluster.yaml"), load("docs/rayjob.yaml")
    image = cluster["docker"]["image"]
    version = job["spec"]["rayClusterSpec"]["rayVersion"]
    assert image == f"rayproject/ray:{version}-py311"
    assert cluster["available_node_types"]["gpu"]["docker"]["worker_image"] == f"{image}-gpu"
    assert f">={version.rpartition('.')[0]}," in pinned
    assert f"\nray=={version} " in (ROOT / ".ci/locks/run.txt").read_text(), "what the Dockerfile installs"


# docs/rayjob.yaml


def test_kuberay_takes_the_manifest() -> None:
    jsonschema.validate(load("docs/rayjob.yaml"), RAYJOB)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec/entryPoint", "python"),
        ("spec/backoffLimit", "2"),
        ("spec/submissionMode", "K8sMode"),
        ("spec/rayClusterSpec/headGroupSpec/rayStartParams/num-cpus", 0),  # parameters are texts
        ("spec/rayClusterSpec/workerGroupSpecs/0/maxReplica", 3),
        ("spec/rayClusterSpec/workerGroupSpecs/0/groupName", "CPU workers"),
        ("spec/rayClusterSpec/autoscalerOptions/upscalingMode", "Slow"),
        ("metadata/name", "Study"),
        ("spec/rayClusterSpec/headGroupSpec/template/spec/securityContext/runAsNonRoot", False),
        ("spec/rayClusterSpec/headGroupSpec/template/spec/containers/0/securityContext", {}),
        ("spec/submitterPodTemplate/spec/securityContext/seccompProfile/type", "Unconfined"),
    ],
)
def test_a_typo_in_the_manifest_is_seen(key: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(put(load("docs/rayjob.yaml"), key, value), RAYJOB)


def test_kubernetes_takes_the_policy_and_it_is_about_these_pods() -> None:
    policy = load("docs/networkpolicy.yaml")
    jsonschema.validate(policy, NETWORK_POLICY)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            put(policy, "spec/egress/0/ports", [{"protocol": "TCP", "port": "https"}]), NETWORK_POLICY
        )
    spec = load("docs/rayjob.yaml")["spec"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    templates = [spec["submitterPodTemplate"], *(group["template"] for group in groups)]
    mine = policy["spec"]["podSelector"]["matchLabels"]
    assert all(mine.items() <= template["metadata"]["labels"].items() for template in templates)


def test_pods_that_open_videos_have_no_token_of_kubernetes() -> None:
    spec = load("docs/rayjob.yaml")["spec"]
    workers = [group["template"]["spec"] for group in spec["rayClusterSpec"]["workerGroupSpecs"]]
    for pod in (*workers, spec["submitterPodTemplate"]["spec"]):
        assert pod["automountServiceAccountToken"] is False


# a variable that holds a secret, and not the name of a file with one, in a line that says what it is set to
SECRET_SET = re.compile(
    r"""(?<!--from-file=)(GEMINI_API_KEY|TIKVAL_ENDPOINT_KEY|AWS_SECRET_ACCESS_KEY|RAY_AUTH_TOKEN)["']?\s*[:=,]"""
)


def test_no_key_stands_in_a_command_line_or_a_runtime_env() -> None:
    for text in (ROOT / "cluster.yaml", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.yaml")):
        for line in text.read_text().splitlines():
            # `export NAME=...` is the shell's own and no process's argument
            assert line.startswith("export ") or not SECRET_SET.search(line), f"{text}: {line}"
    assert SECRET_SET.search("""--runtime-env-json '{"env_vars": {"GEMINI_API_KEY": "..."}}'""")


def test_the_manifest_is_of_the_same_shape() -> None:
    cluster, spec = load("cluster.yaml"), load("docs/rayjob.yaml")["spec"]["rayClusterSpec"]
    kinds = {name: kind for name, kind in cluster["available_node_types"].items() if name != "head"}
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert {name: kind["max_workers"] for name, kind in kinds.items()} == {
        name: group["maxReplicas"] for name, group in groups.items()
    }
    assert spec["autoscalerOptions"]["idleTimeoutSeconds"] == 60 * cluster["idle_timeout_minutes"]
    for group in (spec["headGroupSpec"], *groups.values()):
        [container] = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert group.get("minReplicas", 0) <= group.get("replicas", 0) <= group.get("maxReplicas", 0)
    [gpu] = groups["gpu"]["template"]["spec"]["containers"]
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"
