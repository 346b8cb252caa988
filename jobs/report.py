"""Everything before it -> one HTML page.

python -m jobs.report configs/demo/report.yaml
ray job submit --working-dir . -- python -m jobs.report configs/demo/report.yaml
"""

import shlex
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import tikval
from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    ExtractConfig,
    JobConfig,
    LlmExtractor,
    LlmWriter,
    ReportConfig,
    ScriptConfig,
    UserError,
    find,
)
from tikval.files import write_bytes
from tikval.flow.folder import Folder, Run
from tikval.flow.main import main
from tikval.llm.gate import read_spent
from tikval.report.assemble import LOCAL_NOTICE, Tables, assemble
from tikval.report.gap import pairs_of
from tikval.report.page import render_page
from tikval.report.record import Bill


def run(config: ReportConfig) -> Run:
    """Write `index.html` into the report's folder."""
    folder, begin = Folder(config.folder), time.monotonic()
    catalog, scores = Folder(config.scores.catalog.folder), Folder(config.scores.folder)
    systems = config.scores.predictions
    scripts = _scripts(config)
    folders = [*(recipe.folder for recipe in scripts.values()), *(system.folder for system in systems)]
    upstream = [catalog, *map(Folder, folders), scores]
    with folder.lock():
        inputs = {source.uri: source.finished().state for source in upstream}
        before = folder.run()
        if before and before.inputs == inputs:
            return before
        try:
            codebook = load_codebook(find(systems[0].codebook))
        except ValueError as err:
            raise UserError(str(err)) from err
        tables = Tables(
            videos=catalog.rows(catalog),
            labels=catalog.read_beside("labels"),
            scripts={name: Folder(recipe.folder).rows(catalog) for name, recipe in scripts.items()},
            predictions={system.system: _first(Folder(system.folder).rows(catalog)) for system in systems},
            scores=scores.read().to_pylist(),
            comparisons=scores.read_beside("comparisons"),
            slices=scores.read_beside("slices"),
        )
        report = assemble(
            tables,
            codebook,
            title=config.title,
            facts=_facts(config, codebook, catalog),
            command=_command(config),
            systems=tuple((system.system, _about(config, tables, system.system)) for system in systems),
            exports=(
                ("One line per video and system", f"tikval export {shlex.quote(config.out)} values.csv"),
            ),
            bills=tuple(
                _bills(
                    [
                        *scripts.items(),
                        *((f"values: {s.system}", s) for s in systems if isinstance(s, ExtractConfig)),
                    ]
                )
            ),
            pairs=pairs_of(systems),
            notice=LOCAL_NOTICE if any(_is_local(system) for system in systems) else None,
            show_accounts=config.show_accounts,
        )
        write_bytes(f"{folder.uri}/index.html", render_page(report).encode())
        return folder.write_run(config, [], inputs, len(tables.videos), {}, time.monotonic() - begin)


def _is_local(system: JobConfig) -> bool:
    return isinstance(system, ExtractConfig) and system.extractor.kind == "local"


def _first(rows: list[Any]) -> list[Any]:
    """Of a system that was trained several times: what its first partition and seed said of each video."""
    runs = sorted({(row["split"] or "", row["seed"] or 0) for row in rows})
    return [row for row in rows if (row["split"] or "", row["seed"] or 0) == runs[0]]


def _scripts(config: ReportConfig) -> dict[str, ScriptConfig]:
    """The recipes of scripts that the systems read, by name; the first one's are shown."""
    recipes = {
        system.scripts.fingerprint: system.scripts for system in config.scores.predictions if system.scripts
    }
    several = len(recipes) > 1
    return {f"scripts {key[:4]}" if several else "scripts": recipe for key, recipe in recipes.items()}


def _bills(stages: list[tuple[str, ScriptConfig | ExtractConfig]]) -> Iterator[Bill]:
    """Of the stages that called a paid model."""
    for name, stage in stages:
        part = stage.writer if isinstance(stage, ScriptConfig) else stage.extractor
        spent = read_spent(stage.folder)
        if spent is not None and isinstance(part, LlmWriter | LlmExtractor):
            yield Bill(
                name, part.llm.model, spent.calls, spent.estimate_usd, spent.settled_usd, spent.unknown_usd
            )


def _command(config: ReportConfig) -> str:
    catalog = config.scores.catalog
    words = ["tikval", "analyze", catalog.videos, "--out", config.out]
    for option in ("annotations", "accounts"):
        if path := getattr(catalog, option):
            words += [f"--{option}", path]
    return shlex.join(words)


def _facts(config: ReportConfig, codebook: Codebook, catalog: Folder) -> tuple[tuple[str, str], ...]:
    listed = datetime.fromisoformat(catalog.finished().finished_at)
    return (
        ("Videos listed", f"{listed:%Y-%m-%d %H:%M} UTC"),
        ("tikval", tikval.__version__),
        ("Codebook", f"{codebook.name}, version {codebook.version}"),
        *((f"Recipe of the {name}", recipe.fingerprint) for name, recipe in _scripts(config).items()),
        *((f"Recipe of {system.system}", system.fingerprint) for system in config.scores.predictions),
        ("Recipe in full", "run.json beside this page"),
    )


def _about(config: ReportConfig, tables: Tables, system: str) -> str:
    """The models that answered, as the rows say."""
    served = {row["model_served"] for row in tables.predictions[system] if row["model_served"]}
    scripts = next(recipe for recipe in config.scores.predictions if recipe.system == system).scripts
    if scripts is None:
        return f"values by {', '.join(sorted(served)) or 'nobody'}, from the video itself"
    name = next(
        name for name, recipe in _scripts(config).items() if recipe.fingerprint == scripts.fingerprint
    )
    heard = {row["model_served"] for row in tables.scripts[name] if row["model_served"]}
    return f"scripts by {', '.join(sorted(heard)) or 'nobody'}; values by {', '.join(sorted(served)) or 'nobody'}"


if __name__ == "__main__":
    main(ReportConfig, run)
