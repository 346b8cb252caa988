"""Ray's nodes one by one: a call on each that is alive."""

from collections.abc import Callable
from typing import Any, TypeVar

from tikval.flow.session import start_ray

T = TypeVar("T")


def on_each_node(call: Callable[[float], T], failed: Callable[[str, str], T], seconds: float) -> list[T]:
    """What `call` returns on each node that is alive, given the GPUs that Ray hands out there.

    `failed` makes a result of a node's address and of why there is none; no node has more than `seconds` in all.
    """
    start_ray()
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node for node in nodes if node["Alive"]]
    task: Any = ray.remote(num_cpus=0, max_retries=0)(lambda gpus: call(gpus))
    asked = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            node["Resources"].get("GPU", 0.0)
        )
        for node in nodes
    ]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=seconds)
    found = []
    for node, answer in zip(nodes, asked, strict=True):
        place = node["NodeManagerAddress"]
        if answer not in ready:
            ray.cancel(answer, force=True)
            found.append(failed(place, f"no answer within {seconds:g} s"))
            continue
        try:
            found.append(ray.get(answer))
        except Exception as err:  # of whatever that node lacks, tikval itself among it
            found.append(failed(place, " ".join(str(err).split())[-200:]))
    return found
