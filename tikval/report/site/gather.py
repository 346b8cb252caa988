"""What the stages of a study wrote -> a Report, and its site on disk.

Tables are read file by file and column by column: of a corpus of any size only the videos that get a page become Python
objects. Shape letters: N videos of the catalog.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook
from tikval.config import ReportConfig
from tikval.evaluate.corpus import ANNOTATIONS, SystemCorpus, read_system_corpus
from tikval.evaluate.prevalence import prevalence_in
from tikval.files import delete_folder, write_bytes
from tikval.report.figures import gather as figures
from tikval.report.site.accounts import account_rows, with_accounts
from tikval.report.site.facts import (
    LOCAL_NOTICE,
    about,
    bills_of,
    command_of,
    is_local_system,
    report_facts,
    scripts_of,
)
from tikval.report.site.gap import pairs_of
from tikval.report.site.pages import site_files
from tikval.report.site.pictures import PER_VIDEO, take_pictures
from tikval.report.site.record import Card, Chart, Failure, Report, SystemRates
from tikval.report.site.rows import (
    FAILURES_LISTED,
    StageRows,
    coverage_of,
    failed_of,
    failures_of,
    is_duplicate,
    read_stage,
    with_a_page,
)
from tikval.report.tables import paper as paper_tables
from tikval.report.tables.cells import Cell
from tikval.report.tables.grids import grids
from tikval.report.tables.published import published
from tikval.rows import LabelRow, VideoRow
from tikval.store.folder import SITE_FOLDERS, Folder
from tikval.store.progress import StageProgress
from tikval.store.row_keys import keys_of
from tikval.store.runs import Study

PICTURES: Final = "pictures"
_QUIET: Final = 1_000  # pages that take a few seconds: no progress is shown
_AT_ONCE: Final = 16  # files on their way to a disk that is asked to keep them, or to a store


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is written beside the pages: figures, and the cells of the paper's tables. None, []: there are none."""

    figures: figures.Figures | None
    cells: list[Cell]


def gather(config: ReportConfig, codebook: Codebook) -> tuple[Report, Drawn]:
    """Raises UserError where a stage has not finished, and what read_corpus raises."""
    catalog, scores = Folder(config.scores.catalog.folder), Folder(config.scores.folder)
    systems, scripts = config.scores.predictions, scripts_of(config)
    listed = catalog.read()
    keys_N = keys_of(listed["row_key"])
    labels = _labels(catalog, config.scores.annotator)
    page_N = with_a_page(listed, labels, config.videos)
    known, paged = np.sort(keys_N), np.sort(keys_N[page_N])
    places = {
        **{name: Folder(recipe.folder) for name, recipe in scripts.items()},
        **{f"values: {system.system}": Folder(system.folder) for system in systems},
    }
    stages = {name: read_stage(folder, known, paged) for name, folder in places.items()}
    twice_N = is_duplicate(listed)
    failed = failed_of(listed.filter(pa.array(~twice_N)))
    stages = {"catalog": StageRows(coverage_of(listed), failed, []), **stages}
    failures, n_failures = failures_of(stages, failed_of(listed.filter(pa.array(twice_N))))
    study = Study(config.out, [folder.uri for folder in (catalog, *places.values(), scores)])
    corpora = _corpora(study, [system.system for system in systems], bool(labels), config.scores.annotator)
    drawn = [one.system for one in corpora if not one.is_human]
    found = figures.figures_of(study, drawn, config.scores.annotator) if corpora else None
    listed = with_accounts(listed, labels, catalog)
    paged_videos = listed.filter(pa.array(page_N)).to_pylist()
    pictured = pictures_of(config, catalog, paged_videos) if config.show_pictures else set[str]()
    rows = scores.read().to_pylist()
    cells = paper_tables.tables_of(study) if rows else []
    report = Report(
        title=config.title,
        facts=report_facts(config, codebook, catalog),
        command=command_of(config),
        labels=codebook.labels,
        titles={value.slug: value.title for value in codebook.values},
        systems=tuple((system.system, about(config, system, places)) for system in systems),
        coverage=tuple((name, stage.coverage) for name, stage in stages.items()),
        failures=tuple(failures[:FAILURES_LISTED]),
        n_failures=n_failures,
        rates=tuple(_rates(one) for one in corpora),
        charts=tuple(
            Chart(one.name, one.title, one.shows, one.numbers, one.data) for one in found.sheets
        ) if found else (),
        notes=(*found.notes, *(f"not drawn: {why}" for why in found.skipped)) if found else (),
        accounts=account_rows(listed, stages, labels, corpora),
        n_accounts=pc.count_distinct(listed["account"]).as_py(),
        grids=tuple(grids(cells, published())) if cells else (),
        scores=tuple(rows),
        comparisons=tuple(scores.read_side_table("comparisons")),
        slices=tuple(scores.read_side_table("slices")),
        pairs=pairs_of(systems),
        cards=tuple(_cards(paged_videos, stages, failures, labels, list(scripts), pictured)),
        n_videos=int((~twice_N).sum()),
        notice=LOCAL_NOTICE if any(map(is_local_system, systems)) else None,
        exports=(("One line per video and system", f"tikval export {shlex.quote(config.out)} values.csv"),),
        bills=bills_of(config),
        show_accounts=config.show_accounts,
    )  # fmt: skip
    return report, Drawn(found, cells)


def write_site(folder: Folder, report: Report, drawn: Drawn) -> None:
    """Every file of the site into the folder; pages of videos that were there before are gone."""
    for part in SITE_FOLDERS:
        if part != PICTURES:  # these are kept by their own rule
            delete_folder(f"{folder.uri}/{part}")
    if drawn.figures:
        figures.write_figures(drawn.figures, f"{folder.uri}/charts")
    if drawn.cells:
        paper_tables.write_tables(drawn.cells, f"{folder.uri}/tables")

    def write(file: tuple[str, bytes]) -> None:
        write_bytes(f"{folder.uri}/{file[0]}", file[1])

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))
        progress = None
        if len(report.cards) > _QUIET:
            progress = stack.enter_context(StageProgress("pages", len(report.cards), 0, folder.uri))
        for some in _groups(site_files(report), 4 * _AT_ONCE):
            list(pool.map(write, some))
            if progress:
                progress.advance(sum(name.startswith("videos/") for name, _ in some), {})


def _groups(files: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    """Some files at a time: never all of them in memory."""
    group: list[tuple[str, bytes]] = []
    for file in files:
        group.append(file)
        if len(group) == size:
            yield group
            group = []
    yield group


def _labels(catalog: Folder, annotator: str | None) -> dict[str, LabelRow]:
    """Of the annotator whose labels are the truth, by video; evaluation has refused several without a choice."""
    rows: list[LabelRow] = catalog.read_side_table("labels")
    return {row["video_id"]: row for row in rows if annotator in (None, row["annotator"])}


def _corpora(
    study: Study, systems: Sequence[str], annotated: bool, annotator: str | None
) -> list[SystemCorpus]:
    """Of the annotations and of every system that has a result."""
    names = [*([ANNOTATIONS] if annotated else []), *systems]
    found = [read_system_corpus(study, name, annotator) for name in names]
    return [one for one in found if one.videos.num_rows]


def _rates(corpus: SystemCorpus) -> SystemRates:
    found = prevalence_in(corpus)
    return SystemRates(
        corpus.system,
        found.header,
        corpus.is_human,
        tuple(found.lines),
        tuple(found.confusions),
        tuple(found.notes),
    )


def pictures_of(config: ReportConfig, catalog: Folder, videos: Sequence[VideoRow]) -> set[str]:
    """Row keys of the videos that have pictures now: none of accounts that feature a minor."""
    minors = {row["account"] for row in catalog.read_side_table("accounts") if row["is_minor"]}
    shown = [row for row in videos if row["account"] not in minors]
    return take_pictures(shown, f"{config.folder}/{PICTURES}", config.folder, config.limits)


def _cards(
    videos: Sequence[VideoRow],
    stages: dict[str, StageRows],
    failures: Sequence[Failure],
    labels: dict[str, LabelRow],
    scripts: Sequence[str],
    pictured: set[str],
) -> Iterator[Card]:
    """One per video that gets a page, in the catalog's order; the first recipe's script."""
    script_of = {row["row_key"]: row for row in stages[scripts[0]].shown} if scripts else {}
    said: dict[str, list[Any]] = {}
    for name, stage in stages.items():
        if name.startswith("values: "):
            for row in stage.shown:
                said.setdefault(row["row_key"], []).append(row)
    failed = {failure.key: failure for failure in failures}
    for video in videos:
        key = video["row_key"]
        script, label = script_of.get(key), labels.get(video["video_id"])
        failure = failed.get(key)
        yield Card(
            video_id=video["video_id"],
            key=key,
            seconds=script["seconds"] if script else None,
            script=script["script"] if script else None,
            caption=script["caption"] if script else video["caption"],
            account=video["account"],
            genre=video["genre"],
            month=f"{video['posted_at']:%Y-%m}" if video["posted_at"] else None,
            failures=(failure,) if failure else (),
            predictions=tuple(said.get(key, ())),
            annotated=tuple(label["stances"]) if label else None,
            pictures=PER_VIDEO if key in pictured else 0,
        )
