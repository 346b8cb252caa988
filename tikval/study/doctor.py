"""What this machine has: for `tikval doctor`, and for a bug report."""

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
from typing import NamedTuple

import psutil

import tikval
from tikval.config import Limits, LocalWriter
from tikval.hub.bundled import WHISPER_BASE, cached_folder
from tikval.machine import cores
from tikval.media.child import Child, check_tools
from tikval.media.isolation import isolation_text
from tikval.media.reading import MissingTool, Want


class Finding(NamedTuple):
    what: str
    found: str
    needed_for: str
    lacks: bool = False  # the local profile cannot run without it


def findings() -> list[Finding]:
    """One line per thing; a reading child is started to ask it, and of secrets only whether they are set."""
    memory = psutil.virtual_memory()
    return [
        Finding("tikval", f"{tikval.__version__}, Python {platform.python_version()}", "everything"),
        Finding("machine", f"{cores()} cores, {memory.total >> 30} GiB memory", "everything"),
        Finding("Ray", os.environ.get("RAY_ADDRESS") or f"{_version('ray')}, this machine only", "every job"),
        Finding("GPU", _gpu(), "embeddings and vLLM at speed"),
        _tool("Tesseract", Want(ocr_frames=LocalWriter().ocr.frames), _tesseract()),
        _recogniser(),
        _tool("English recogniser", Want(speech=True), _version("moonshine-voice"), "speech: fast"),
        Finding("packages", _compiled(), "a quick start"),
        Finding("isolation of the reading child", _isolation(), "hostile videos; see docs/media.md"),
        _encoder(),
        Finding("Gemini", f"{_version('google-genai')}, {_set('GEMINI_API_KEY')}", "profiles gemini, paper"),
        Finding("vLLM", _version("vllm"), "profiles open, mistral, qwen, omni, paper"),
    ]


def _tool(what: str, want: Want, version: str, needed_for: str = "profile local") -> Finding:
    try:
        check_tools(want)
    except MissingTool as err:
        return Finding(what, f"MISSING: {err.remedy}", needed_for, lacks=needed_for == "profile local")
    return Finding(what, version, needed_for)


def _recogniser() -> Finding:
    what, needed_for = "Whisper base", "profile local, speech in any language"
    if importlib.util.find_spec("faster_whisper") is None:
        return Finding(what, "MISSING: pip install 'tikval[local]'", needed_for, lacks=True)
    folder = cached_folder(WHISPER_BASE)
    found = str(folder) if folder else "not fetched yet (133 MB, at the first run)"
    return Finding(what, f"faster-whisper {_version('faster-whisper')}, {found}", needed_for)


def _compiled() -> str:
    """Whether Python finds the bytecode of what is imported; installers such as uv write none."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or (spec.cached and os.path.exists(spec.cached)):  # noqa: PTH110
        return "compiled"
    place = os.path.dirname(os.path.dirname(spec.origin or ""))  # noqa: PTH120
    return f"not compiled, every start does it anew; once and for all: python -m compileall -q {shlex.quote(place)}"


def _isolation() -> str:
    try:
        with Child(Limits()) as child:
            return isolation_text(child.start())
    except RuntimeError as err:
        return str(err)


def _encoder() -> Finding:
    folder = cached_folder()
    found = str(folder) if folder else "not fetched yet (83 MB, at the first run)"
    return Finding("all-MiniLM-L6-v2", found, "profile local")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _tesseract() -> str:
    if not shutil.which("tesseract"):
        return "not installed"
    done = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]


def _gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return "none"
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return "; ".join(done.stdout.strip().splitlines()) or "none"


def _set(name: str) -> str:
    given = os.environ.get(name) or os.environ.get(f"{name}_FILE")
    return f"{name} is {'set' if given else 'not set'}"
