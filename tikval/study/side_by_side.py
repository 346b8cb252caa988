"""What lies side by side in one study: the other systems of a report's codebook, and the reports of other codebooks."""

import sys
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tikval.codebook import load_codebook
from tikval.config import CatalogConfig, EvaluateConfig, ReportConfig, UserError, find_file, nested, validate
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study, SystemConfig, has_texts, run_here, system_config


def label_set_of_systems(config: EvaluateConfig) -> str:
    """The name of the codebook that systems to be scored are over. Raises UserError for a file that is none."""
    try:
        return load_codebook(find_file(config.predictions[0].codebook)).label_set
    except ValueError as err:
        raise UserError(str(err)) from err


def check_annotator(names: Iterable[str], annotator: str | None, where: str) -> None:
    """Check that there is no doubt whose labels are the truth; `names`: of all who annotated. Raises UserError."""
    there = sorted(set(names))
    if annotator is None and len(there) > 1:
        raise UserError(
            f"{where}: {len(there)} annotators ({', '.join(there)}); name the one whose labels are the truth with "
            "--annotator"
        )
    if annotator is not None and annotator not in there:
        raise UserError(f"{where}: no annotator {annotator}; there are {', '.join(there) or 'none'}")


def annotators_in(catalog: Folder, label_set: str) -> list[str]:
    """Who annotated, of the annotations over one codebook that a finished catalog knows."""
    rows = catalog.read_side_table("labels")
    return sorted({row["annotator"] for row in rows if row["label_set"] == label_set})


def with_current_systems(config: ReportConfig, label_set: str) -> ReportConfig:
    """The configuration with every other current system over its codebook, so that the report shows what is there.

    None of them is run: what they lack is counted as missing. A system that another one asked about some of the videos
    is no system of all. One whose files have changed since it ran is left out
    with a note.
    """
    mine = {system.system: system for system in config.scores.predictions}
    others = []
    for one in Study(config.out).current(label_set):
        if one.system in mine or one.run.is_partial:
            continue
        try:
            system = _over(config.scores.catalog, run_here(one.run, config.out))
        except UserError as err:
            print(f"tikval: note: {one.system} is left out: {err}", file=sys.stderr)
            continue
        if not has_texts(system) and system.catalog.fingerprint == config.scores.catalog.fingerprint:
            others.append(system)
    if not others:
        return config
    systems = tuple(sorted([*mine.values(), *others], key=lambda system: system.system))
    return config.model_copy(update={"scores": config.scores.model_copy(update={"predictions": systems})})


def _over(catalog: CatalogConfig, run: FolderRun) -> SystemConfig:
    """A system's configuration over the catalog as it is asked for now: what is given to that is no recipe."""
    data = deepcopy(run.config)
    for place, each in nested(system_config(run)):
        if isinstance(each, CatalogConfig) and each.fingerprint == catalog.fingerprint:
            node: Any = data
            *parents, leaf = place.split(".")
            for key in parents:
                node = node[int(key) if isinstance(node, list) else key]
            node[leaf] = catalog.model_dump(mode="json")
    return system_config(replace(run, config=data))


def reports_over_others(out: str, label_set: str) -> list[ReportConfig]:
    """The current report over every other codebook. One whose files have changed since is left out with a note."""
    found = []
    for other in Study(out).label_sets:
        latest = None if other == label_set else Study(out, codebook=other).latest("report")
        if latest is None:
            continue
        folder, run = latest
        try:
            config = validate(ReportConfig, run_here(run, out).config, f"{folder.uri}/run.json")
            if config.fingerprint != run.fingerprint:
                raise UserError("its codebook, a prompt or tikval has changed since")
            found.append(config)
        except UserError as err:
            print(f"tikval: note: the report over {other} stays as it was: {err}", file=sys.stderr)
    return found
