"""Profiles, the configurations of whole analyses, brought to some videos and a folder; and the command that did it."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from tikval.config import (
    CascadeConfig,
    CatalogConfig,
    ExtractConfig,
    ReportConfig,
    UserError,
    load_config,
    nested,
    shipped_folder,
)
from tikval.config.report import Asked
from tikval.files import list_files, without_secrets
from tikval.store.recipes import load_job

Sets = list[str | tuple[str, Any]]
_ROOM_FOR_QUOTES: Final = 2048  # tokens of a reply


@dataclass(frozen=True)
class Wanted:
    """What an analysis is asked for, beside its profiles."""

    videos: str
    out: str
    annotations: str | None = None
    annotated_by: str | None = None
    accounts: str | None = None
    codebook: str | None = None
    annotator: str | None = None
    title: str | None = None
    minors_unknown: str | None = None
    media: str | None = None
    columns: str | None = None
    without: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of all systems in order; (): as the profiles name them
    evidence: bool | None = None  # of language models; None: as the profiles have it
    overrides: tuple[str, ...] = ()  # key=value, or profile:key=value of that one alone


def report_of_profiles(profiles: Sequence[str], wanted: Wanted) -> ReportConfig:
    """One report over the systems of all profiles; title, scores and catalog are as the first one has them.

    Raises UserError for an unknown profile, for names that do not fit and for two systems of one name.
    """
    files = {profile: profile_file(profile) for profile in dict.fromkeys(profiles)}
    sets = {profile: _sets(file, profile, list(files), wanted) for profile, file in files.items()}
    parts = {profile: load_job(ReportConfig, file, sets[profile]) for profile, file in files.items()}
    if wanted.names:
        names = _names_of(parts, wanted.names)
        sets = {profile: [*sets[profile], *names[profile]] for profile in files}
        parts = {profile: load_job(ReportConfig, file, sets[profile]) for profile, file in files.items()}
    if wanted.evidence is not None:
        # before what was set, which has the last word
        sets = {profile: [*_quoting(parts[profile], wanted.evidence), *sets[profile]] for profile in files}
        parts = {profile: load_job(ReportConfig, file, sets[profile]) for profile, file in files.items()}
    return _joined(parts)


def asks_for_evidence(config: ReportConfig) -> bool | None:
    """Whether an analysis asks language models for evidence where nobody said: not where one has begun without it.

    None: there is none that could be asked, or they all are by their profile.
    """
    could = [
        system
        for _, system in _models(config)
        if not system.extractor.evidence and system.extractor.answer == "json"
    ]
    if begun := [system.system for system in could if list_files(system.folder, "")]:
        print(
            f"tikval: {', '.join(begun)}: answers without evidence are there and go on; --evidence asks, and pays, "
            "for new ones with quotes",
            file=sys.stderr,
        )
        return False
    return bool(could) or None


def _quoting(part: ReportConfig, evidence: bool) -> Sets:
    """Overrides that ask the language models of a profile for evidence, or for none."""
    sets: Sets = []
    for place, system in _models(part):
        at, llm = f"{place}.extractor", system.extractor.llm
        sets.append((f"{at}.evidence", evidence))
        if evidence:
            sets.append((f"{at}.llm.max_tokens", max(llm.max_tokens, _ROOM_FOR_QUOTES)))
    return sets


def _models(part: ReportConfig) -> Iterator[tuple[str, Any]]:
    """The systems that ask a language model, those within a cascade too, by their keys."""
    for i, system in enumerate(part.scores.predictions):
        at = f"scores.predictions.{i}"
        theirs = {at: system}
        if isinstance(system, CascadeConfig):
            theirs = {f"{at}.cheap": system.cheap, f"{at}.strong": system.strong}
        for place, one in theirs.items():
            if isinstance(one, ExtractConfig) and one.extractor.kind == "llm":
                yield place, one


def profile_file(name: str) -> str:
    """The report's configuration of a profile: a folder, or the name of one in configs/. Raises UserError."""
    for folder in (Path(name), Path("configs") / name):
        if (folder / "report.yaml").is_file():
            return str(folder / "report.yaml")
    known = sorted(path.parent.name for path in shipped_folder("configs").glob("*/report.yaml"))
    if name not in known:
        raise UserError(
            f"{name}: no such profile; there are {', '.join(known)}, or name a folder with report.yaml"
        )
    return f"configs/{name}/report.yaml"


def _sets(file: str, profile: str, profiles: Sequence[str], wanted: Wanted) -> Sets:
    """Overrides that bring a profile's configurations to these videos and this folder, however many systems it has."""
    keys_of_catalog = (
        "videos",
        "annotations",
        "annotated_by",
        "accounts",
        "codebook",
        "without",
        "media",
        "columns",
    )
    given = {key: value for key in keys_of_catalog if (value := getattr(wanted, key))}
    sets: Sets = []
    for place, config in nested(load_config(ReportConfig, file, [])):
        at = f"{place}." if place else ""
        keys = type(config).model_fields
        sets.append((f"{at}out", wanted.out))
        if isinstance(config, CatalogConfig):
            sets += [(f"{at}{key}", value) for key, value in given.items()]
            if (
                config.annotations
                and not wanted.annotations
                and wanted.codebook not in (None, config.codebook)
            ):
                sets.append((f"{at}annotations", None))  # the profile's own are of the profile's values
                print(
                    f"tikval: note: {config.annotations} is of {config.codebook}: left out", file=sys.stderr
                )
        elif wanted.codebook and "codebook" in keys:
            sets.append((f"{at}codebook", wanted.codebook))
        if wanted.annotator and "annotator" in keys:
            sets.append((f"{at}annotator", wanted.annotator))
        if wanted.minors_unknown and "api" in keys:
            sets.append((f"{at}api.minors_unknown", wanted.minors_unknown))
    if wanted.title:
        sets.append(("title", wanted.title))
    for setting in wanted.overrides:
        whose, _, rest = setting.partition(":")
        if "=" in whose or whose not in profiles:
            sets.append(setting)
        elif whose == profile:
            sets.append(rest)
    return sets


def _names_of(parts: dict[str, ReportConfig], names: Sequence[str]) -> dict[str, Sets]:
    """Overrides that give the systems their names, by profile."""
    systems = [(profile, i) for profile, part in parts.items() for i in range(len(part.scores.predictions))]
    if len(names) != len(systems):
        now = ", ".join(system.system for part in parts.values() for system in part.scores.predictions)
        raise UserError(f"--name: give one name for each of {len(systems)} systems ({now}), in this order")
    sets: dict[str, Sets] = {profile: [] for profile in parts}
    for name, (profile, i) in zip(names, systems, strict=True):
        sets[profile].append((f"scores.predictions.{i}.system", name))
    return sets


def _joined(parts: dict[str, ReportConfig]) -> ReportConfig:
    first = next(iter(parts.values()))
    systems = {system.folder: system for part in parts.values() for system in part.scores.predictions}
    names = [system.system for system in systems.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two systems are named {twice[0]}: --name, given for each, tells them apart")
    if len({system.catalog.folder for system in systems.values()}) > 1:
        raise UserError(
            f"{', '.join(parts)}: list the videos in different ways (ids), so they are two studies"
        )
    if len(systems) == len(first.scores.predictions):
        return first
    scores = first.scores.model_copy(update={"predictions": tuple(systems.values())})
    return first.model_copy(update={"scores": scores})


def asked_by(ctx: typer.Context, profiles: Sequence[str] = (), more: Sequence[str] = ()) -> Asked:
    """The command that was typed, without what may be a secret in it, and the recipes that its profiles ship with.

    `more`: options that were not typed, and without which it would do something else in an empty folder.
    """
    recipes = []
    for profile in profiles:
        recipe = load_config(ReportConfig, profile_file(profile), []).fingerprint
        recipes.append(f"{profile} (recipe {recipe}, before the settings of the command)")
    words = ["tikval", str(ctx.info_name), *more, *typed_words(ctx)]
    return Asked(command=shlex.join(map(without_secrets, words)), profiles=tuple(recipes))


def typed_words(ctx: typer.Context) -> list[str]:
    """The options and arguments of a command line, in the order of the command's own help."""
    arguments: list[str] = []
    options: list[str] = []
    for param in ctx.command.params:
        source = param.name and ctx.get_parameter_source(param.name)
        if not source or source.name != "COMMANDLINE":
            continue
        value = ctx.params[str(param.name)]
        values = list(value) if isinstance(value, list | tuple) else [value]
        if param.param_type_name == "argument":
            arguments += map(str, values)
        elif isinstance(value, bool):
            options.append((param.opts if value else param.secondary_opts)[0])
        else:
            options += [word for each in values for word in (param.opts[0], str(each))]
    dashed = any(word.startswith("-") for word in arguments)
    return [*options, "--", *arguments] if dashed else [*arguments, *options]
