"""What a machine of a cluster has, looked at there, and what is wrong over all of them: `tikval doctor --cluster`."""

import importlib.metadata
import platform
import secrets
import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import tikval
from tikval.config import ExtractConfig, ReportConfig, nested
from tikval.files import delete, read_bytes, write_bytes
from tikval.hub.loadable import cuda_devices, load_once
from tikval.media.child import check_tools
from tikval.media.reading import MissingTool, Want

# those in which two nodes that differ give rows that differ, or fail to read each other's
PACKAGES: Final = ("ray", "pyarrow", "numpy", "av", "torch", "transformers", "sentence-transformers", "vllm")


class WantedModel(NamedTuple):
    """A model that a profile loads on the cluster."""

    name: str  # hub name or folder
    revision: str | None
    on_gpus: bool  # a language model of vLLM: its configuration and tokenizer are loaded, not its weights


@dataclass(frozen=True)
class NodeFacts:
    """What was found on one node; `trouble` says what could not be done there."""

    node: str
    versions: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0  # that CUDA sees
    promised_gpus: float = 0  # that Ray hands out
    trouble: tuple[str, ...] = ()


def wanted_models(config: ReportConfig) -> list[WantedModel]:
    """The models of a profile that run on its own machines; each once."""
    found = dict[WantedModel, None]()
    for _, job in nested(config):
        extractor = job.extractor if isinstance(job, ExtractConfig) else None
        if extractor is not None and extractor.kind == "local":
            found[WantedModel(extractor.encoder, extractor.revision, on_gpus=False)] = None
        elif extractor is not None and extractor.llm.kind == "vllm":
            found[WantedModel(extractor.llm.model, extractor.llm.revision, on_gpus=True)] = None
    return list(found)


def look_at_node(out: str | None, models: Sequence[WantedModel], promised_gpus: float) -> NodeFacts:
    """The facts of the machine that this runs on; `out`: a folder that every node has to write into and read from."""
    trouble = [*_missing_tools()]
    if out:
        trouble += _store(out)
    gpus = cuda_devices() if promised_gpus or shutil.which("nvidia-smi") else 0
    for model in models:
        if not model.on_gpus or promised_gpus:
            trouble += _loads(model)
    return NodeFacts(socket.gethostname(), _versions(), gpus, promised_gpus, tuple(trouble))


def differences(nodes: Sequence[NodeFacts]) -> list[str]:
    """What is wrong, each line with its node: versions unlike those of most, GPUs that are not there, troubles."""
    usual = _usual(node.versions for node in nodes if node.versions)
    lines = []
    for node in nodes:
        unlike = [
            f"{package} {node.versions.get(package, 'not installed')} (most nodes: {usual[package]})"
            for package in usual
            if node.versions and node.versions.get(package) != usual[package]
        ]
        if node.gpus < node.promised_gpus:
            unlike.append(f"CUDA sees {node.gpus} GPUs, and Ray hands out {node.promised_gpus:g}")
        lines += [f"{node.node}: {line}" for line in (*unlike, *node.trouble)]
    return lines


def _usual(versions: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The version of each package that most nodes have; of two as frequent ones the first."""
    each = list(versions)
    packages = dict.fromkeys(package for one in each for package in one)
    return {
        package: Counter(one.get(package, "not installed") for one in each).most_common(1)[0][0]
        for package in packages
    }


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "tikval": tikval.__version__}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _missing_tools() -> list[str]:
    try:
        check_tools(Want(ocr_frames=1))
    except MissingTool as err:
        return [f"{err.tool} is missing: {err.remedy}"]
    return []


def _store(out: str) -> list[str]:
    """Write, read and delete an object of our own."""
    place, data = f"{out.rstrip('/')}/.doctor-{secrets.token_hex(8)}", secrets.token_bytes(16)
    try:
        write_bytes(place, data)
        try:
            if read_bytes(place) != data:
                return [f"{out}: what was written is not what is read"]
        finally:
            delete(place)
    except Exception as err:  # of whichever store: the line is what it has to say
        return [f"{out}: cannot be written and read here ({_line(err)})"]
    return []


def _loads(model: WantedModel) -> list[str]:
    try:
        load_once(model.name, model.revision, whole=not model.on_gpus)
    except Exception as err:  # of a hub, a disk or a library: the line is what it has to say
        return [f"{model.name}: cannot be loaded ({_line(err)})"]
    return []


def _line(err: Exception) -> str:
    return " ".join(str(err).split())[:200] or type(err).__name__
