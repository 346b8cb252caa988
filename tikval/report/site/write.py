"""A report's configuration -> the site in its folder, pages and what is drawn for them."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tikval.claims.families import families_state
from tikval.codebook import load_codebook
from tikval.config import ReportConfig, UserError, find_file
from tikval.evaluate.evidence import recognised_scripts
from tikval.files import delete_folder, write_bytes
from tikval.report.site.evidence_table import deletion_tests
from tikval.report.site.facts import also_here, command_of, given_facts, scripts_of
from tikval.report.site.pictures import PICTURES
from tikval.report.site.record import Report
from tikval.store.folder import SITE_FOLDERS, Folder
from tikval.store.folder_run import FolderRun
from tikval.store.progress import StageProgress
from tikval.store.runs import Study

if TYPE_CHECKING:
    from tikval.report.site.gather import Drawn

_WORDS: Final = "words"  # among a report's inputs: the command, what was given and what else is there
_QUIET: Final = 1_000  # pages that take a few seconds: no progress is shown
_PARALLEL_WRITES: Final = 16  # files on their way to a disk that is asked to keep them, or to a store


def write_report(config: ReportConfig) -> FolderRun:
    """Write the site into the report's folder. Raises UserError where a stage before it has not finished."""
    folder, begin = Folder(config.folder), time.monotonic()
    systems = config.scores.predictions
    folders = [*(recipe.folder for recipe in scripts_of(config).values()), *(each.folder for each in systems)]
    upstream = [config.scores.catalog.folder, *folders, config.scores.folder]
    heard = recognised_scripts(Study(config.out))
    if heard and heard.name not in {Folder(uri).name for uri in upstream}:
        upstream.append(heard.uri)
    upstream += [test.uri for test in deletion_tests(Study(config.out), systems).values()]
    with folder.lock():
        inputs = {uri: Folder(uri).finished().state for uri in upstream}
        try:
            codebook = load_codebook(find_file(systems[0].codebook))
        except ValueError as err:
            raise UserError(str(err)) from err
        also = also_here(config, codebook.label_set)
        drawn_by = Folder(config.scores.catalog.folder).finished().config.get("annotated_by", "unknown")
        shown = repr((command_of(config), given_facts(config, codebook.label_set), also, drawn_by))
        claims = families_state(
            config.out, codebook.label_set
        )  # "" while there are none, as before there could be
        shown += claims
        words = {f"{config.out}/{_WORDS}": hashlib.sha256(shown.encode()).hexdigest()[:16]}
        before = folder.run()
        # of an earlier version: as it is, while there is nothing else to name
        nothing_new = not also and not claims and drawn_by == "unknown"
        if before and (before.inputs == inputs | words or (before.inputs == inputs and nothing_new)):
            return before
        inputs |= words
        from tikval.report.site.gather import gather  # not for a report that is there

        report, drawn = gather(config, codebook)
        write_site(folder, report, drawn)
        return folder.write_run(config, [], inputs, report.n_videos or 0, {}, time.monotonic() - begin)


def write_site(folder: Folder, report: Report, drawn: "Drawn") -> None:
    """Write every file of the site into the folder; pages of videos that were there before are gone."""
    from tikval.report.figures.gather import write_figures
    from tikval.report.site.pages import site_files
    from tikval.report.tables.paper import write_tables

    for part in SITE_FOLDERS:
        if part != PICTURES:  # these are kept by their own rule
            delete_folder(f"{folder.uri}/{part}")
    if drawn.figures:
        write_figures(drawn.figures, f"{folder.uri}/charts")
    if drawn.tables:
        write_tables(drawn.tables, f"{folder.uri}/tables")

    def write(file: tuple[str, bytes]) -> None:
        write_bytes(f"{folder.uri}/{file[0]}", file[1])

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_PARALLEL_WRITES))
        progress = None
        if len(report.cards) > _QUIET:
            progress = stack.enter_context(StageProgress("pages", len(report.cards), 0, folder.uri))
        for some in _groups(site_files(report), 4 * _PARALLEL_WRITES):
            list(pool.map(write, some))
            if progress:
                progress.advance(sum(name.startswith("videos/") for name, _ in some), {})


def _groups(files: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    """Lists of `size` files, the last one shorter: never all of them in memory."""
    group: list[tuple[str, bytes]] = []
    for file in files:
        group.append(file)
        if len(group) == size:
            yield group
            group = []
    yield group
