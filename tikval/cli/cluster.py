"""`tikval doctor --cluster`: what each node has, and what is wrong."""

import dataclasses
import json
import sys
from functools import partial

from rich.table import Table

from tikval.cli.guard import FAILED
from tikval.cli.profiles import profile_file
from tikval.config import ReportConfig, UserError, load_config
from tikval.flow.each_node import on_each_node
from tikval.flow.session import on_cluster
from tikval.study.node_check import NodeFacts, differences, look_at_node, wanted_models
from tikval.terminal import Terminal

SECONDS = 300.0  # a model is loaded, and perhaps fetched before


def show_cluster(out: str | None, profile: str | None, as_json: bool) -> int:
    """Print a line for each node and what is wrong; the exit code. Raises UserError where no cluster is joined."""
    if not on_cluster():
        raise UserError("no cluster: set RAY_ADDRESS, or submit this command by ray job submit")
    models = wanted_models(load_config(ReportConfig, profile_file(profile), [])) if profile else []
    nodes = on_each_node(partial(look_at_node, out, models), _no_facts, SECONDS)
    wrong = differences(nodes)
    if as_json:
        print(json.dumps({"nodes": [dataclasses.asdict(node) for node in nodes], "wrong": wrong}, indent=2))
        return FAILED if wrong else 0
    table = Table("node", "Python", "tikval", "Ray", "torch", "GPUs seen", "handed out by Ray")
    for node in nodes:
        versions = (node.versions.get(name, "?") for name in ("Python", "tikval", "ray", "torch"))
        table.add_row(node.node, *versions, str(node.gpus), f"{node.promised_gpus:g}")
    Terminal(width=None if sys.stdout.isatty() else 160).print(table)
    for line in wrong:
        print(f"WRONG {line}")
    asked = [f"{out} is written and read on each"] * bool(out) + [f"{model.name} loads" for model in models]
    right = "; ".join(["versions are equal", "Tesseract is there", *asked])
    print(f"{len(wrong)} wrong on {len(nodes)} nodes" if wrong else f"{len(nodes)} nodes: {right}")
    return FAILED if wrong else 0


def _no_facts(node: str, why: str) -> NodeFacts:
    return NodeFacts(node, trouble=(why,))
