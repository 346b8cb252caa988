"""A Ray of one machine is nobody else's: its sockets, its token, its folder, and what its workers import."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import psutil
import pytest
import ray

from tikval.flow.train import Worker

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

# of each server of Ray one call; a server knows one of them
CALLS = ("NodeInfoGcsService/GetAllNodeInfo", "NodeManagerService/GetNodeStats", "CoreWorkerService/Exit")


def listening(processes: Iterator[psutil.Process]) -> dict[str, list[Any]]:
    """Addresses of all listening sockets, by the process's name."""
    found: dict[str, list[Any]] = {}
    for process in processes:
        try:
            seen = process.net_connections("inet")
            found.setdefault(process.name(), []).extend(
                c.laddr for c in seen if c.status == psutil.CONN_LISTEN
            )
        except psutil.NoSuchProcess:
            continue
    return found


def family() -> Iterator[psutil.Process]:
    me = psutil.Process()
    yield me
    yield from me.children(recursive=True)


def is_loopback(address: str) -> bool:
    return address.removeprefix("::ffff:").startswith("127.") or address == "::1"


@ray.remote(num_cpus=0.1)
class Actor:
    def ready(self) -> bool:
        return True


@pytest.fixture
def worked(local_ray: None) -> Iterator[None]:
    """Ray with a worker that lives meanwhile."""
    actor = Actor.remote()  # type: ignore[attr-defined]
    assert ray.get(actor.ready.remote())
    yield
    ray.kill(actor)


def test_no_process_runs_that_only_a_cluster_needs(worked: None) -> None:
    lines = [" ".join(process.cmdline()) for process in family()]
    assert any("raylet" in line for line in lines)
    for part in ("dashboard.py", "autoscaler/_private/monitor.py", "log_monitor.py"):
        assert not [line for line in lines if part in line]


def test_every_socket_is_on_loopback(worked: None) -> None:
    found = listening(family())
    assert {"gcs_server", "raylet"} <= set(found)
    assert [(name, at) for name, all_at in found.items() for at in all_at if not is_loopback(at.ip)] == []


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_nobody_is_served_without_the_token(worked: None, token: str | None) -> None:
    refused: set[str] = set()
    bearer = [("authorization", f"Bearer {token}")] if token else []
    for name, addresses in listening(family()).items():
        for address in addresses:
            with grpc.insecure_channel(f"127.0.0.1:{address.port}") as channel:
                for call in CALLS:
                    ask = channel.unary_unary(f"/ray.rpc.{call}")
                    with pytest.raises(grpc.RpcError) as error:
                        ask(b"", timeout=5, metadata=bearer)
                    if error.value.code() == grpc.StatusCode.UNAUTHENTICATED:
                        refused.add(name)
    assert {"gcs_server", "raylet", "ray::Actor"} <= refused
    assert psutil.Process().name() in refused  # the driver is served by nobody else, too


def test_its_folder_and_its_token_are_for_this_user_alone(local_ray: None) -> None:
    node: Any = ray._private.worker._global_node
    session = Path(node.get_session_dir_path())
    place = session.parents[1]
    assert place.name.startswith("ray-tikval-")
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "token").stat().st_mode & 0o777 == 0o600
    token = (place / "token").read_text()
    for process in family():
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:  # it has ended meanwhile
            continue
        assert [word for word in words if token in word] == [], process
    assert os.environ.get("RAY_AUTH_TOKEN_PATH") is None  # of this one, and of no cluster joined later


def look(place: str, worker: Worker) -> None:
    """The work of a training: what it listens on, after both workers added up."""
    import torch
    import torch.distributed as dist

    total = torch.ones(1)
    dist.all_reduce(total)
    found = listening(iter([psutil.Process()]))
    open_at = [at.ip for all_at in found.values() for at in all_at]
    (Path(place) / str(worker.rank)).write_text(
        f"{int(total)} {all(map(is_loopback, open_at))} {len(open_at) > 0}"
    )


@pytest.mark.full
def test_workers_that_train_together_meet_on_loopback(local_ray: None, tmp_path: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from tikval.flow.train import _torch_config

    def work(_: dict[str, Any]) -> None:
        import ray.train

        context = ray.train.get_context()
        look(str(tmp_path), Worker(context.get_world_rank(), context.get_world_size(), "cpu"))

    meeting = tmp_path / "meeting"
    meeting.mkdir()
    TorchTrainer(
        work,
        train_loop_config={},
        torch_config=_torch_config("gloo", str(meeting)),
        scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}),
        run_config=RunConfig(storage_path=str(tmp_path / "ray")),
    ).fit()
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["2 True True"] * 2
