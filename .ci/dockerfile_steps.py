"""The instructions of this repository's Dockerfile, for who runs them without a container engine."""

import re
import shlex
import string
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class BuildStage:
    """One FROM and what follows; `steps` in order, with variables filled in where Docker fills them in."""

    name: str
    steps: list["BuildStep"] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"
    entrypoint: str = ""


@dataclass(frozen=True)
class BuildStep:
    """RUN (`words`: the command, to a shell), or COPY (sources, then the target) from the context or a stage."""

    kind: str
    words: tuple[str, ...]
    source: str | None  # a stage's name
    env: dict[str, str]
    folder: str
    line: str


def read_dockerfile(path: Path, arguments: dict[str, str]) -> list[BuildStage]:
    """The stages in order; `arguments` as `--build-arg`. Raises ValueError for an unknown instruction."""
    stages: list[BuildStage] = []
    given = dict(arguments)
    for line in _instructions(path.read_text()):
        word, rest = line.split(maxsplit=1)
        if word == "ARG":
            name, _, value = rest.partition("=")
            given.setdefault(name, value)
            if stages:
                stages[-1].env.setdefault(name, given[name])
            continue
        if word == "FROM":
            parts = rest.split()
            stages.append(BuildStage(parts[2] if len(parts) == 3 else ""))
            continue
        stage = stages[-1]
        if word == "RUN":
            stage.steps.append(BuildStep("RUN", (rest,), None, dict(stage.env), stage.folder, line))
        elif word == "COPY":
            source, words = None, shlex.split(rest)
            if words[0].startswith("--from="):
                source = words.pop(0).removeprefix("--from=")
            stage.steps.append(BuildStep("COPY", tuple(words), source, dict(stage.env), stage.folder, line))
        elif word == "ENV":
            pairs = [pair.partition("=") for pair in shlex.split(rest)]
            stage.env |= {name: string.Template(value).safe_substitute(stage.env) for name, _, value in pairs}
        elif word == "WORKDIR":
            stage.folder = rest
        elif word == "USER":
            stage.user = rest
        elif word == "ENTRYPOINT":
            stage.entrypoint = rest
        elif word != "CMD":
            raise ValueError(f"{path}: {word}: not known to .ci/dockerfile_steps.py")
    return stages


def _instructions(text: str) -> list[str]:
    """Without comments, with continued lines as one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
