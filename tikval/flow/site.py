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
from tikval.evaluate.scores import Coverage
from tikval.files import delete_folder, read_parquet, write_bytes
from tikval.flow import figures, paper_tables
from tikval.flow.corpus import ANNOTATIONS, Corpus, read_corpus
from tikval.flow.folder import SITE_FOLDERS, Folder
from tikval.flow.keys import contains, keys_of
from tikval.flow.pictures import PER_VIDEO, take_pictures
from tikval.flow.prevalence import prevalence_in
from tikval.flow.progress import StageProgress
from tikval.flow.site_facts import LOCAL_NOTICE, about, bills_of, command_of, facts_of, is_local, scripts_of
from tikval.flow.study import Study
from tikval.report.gap import pairs_of
from tikval.report.pages import site_files
from tikval.report.paper_grids import grids
from tikval.report.paper_tables import Cell
from tikval.report.published import published
from tikval.report.record import Account, Card, Chart, Failure, Rates, Report
from tikval.rows import LabelRow, Reason, VideoRow

PICTURES: Final = "pictures"
FAILURES_LISTED: Final = 10_000
ACCOUNTS_LISTED: Final = 500
LABELS_OF_AN_ACCOUNT: Final = 3
_QUIET: Final = 1_000  # pages that take a few seconds: no progress is shown
_AT_ONCE: Final = 16  # files on their way to a disk that is asked to keep them, or to a store


@dataclass(frozen=True, slots=True)
class Stage:
    """One folder's rows of videos that the catalog still lists."""

    coverage: Coverage
    failed: pa.Table  # video_id, row_key, error, detail
    shown: list[Any]  # rows of the videos that get a page


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
    page_N = _with_a_page(listed, labels, config.videos)
    known, paged = np.sort(keys_N), np.sort(keys_N[page_N])
    places = {
        **{name: Folder(recipe.folder) for name, recipe in scripts.items()},
        **{f"values: {system.system}": Folder(system.folder) for system in systems},
    }
    stages = {name: _read(folder, known, paged) for name, folder in places.items()}
    twice_N = _is_duplicate(listed)
    failed = _failed(listed.filter(pa.array(~twice_N)))
    stages = {"catalog": Stage(_coverage(listed), failed, []), **stages}
    failures, n_failures = _failures(stages, _failed(listed.filter(pa.array(twice_N))))
    study = Study(config.out, [folder.uri for folder in (catalog, *places.values(), scores)])
    corpora = _corpora(study, [system.system for system in systems], bool(labels), config.scores.annotator)
    drawn = [one.system for one in corpora if not one.is_human]
    found = figures.figures_of(study, drawn, config.scores.annotator) if corpora else None
    listed = _with_accounts(listed, labels, catalog)
    paged_videos = listed.filter(pa.array(page_N)).to_pylist()
    pictured = _pictures(config, catalog, paged_videos) if config.show_pictures else set[str]()
    rows = scores.read().to_pylist()
    cells = paper_tables.tables_of(study) if rows else []
    report = Report(
        title=config.title,
        facts=facts_of(config, codebook, catalog),
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
        accounts=_account_lines(listed, stages, labels, corpora),
        n_accounts=pc.count_distinct(listed["account"]).as_py(),
        grids=tuple(grids(cells, published())) if cells else (),
        scores=tuple(rows),
        comparisons=tuple(scores.read_beside("comparisons")),
        slices=tuple(scores.read_beside("slices")),
        pairs=pairs_of(systems),
        cards=tuple(_cards(paged_videos, stages, failures, labels, list(scripts), pictured)),
        n_videos=int((~twice_N).sum()),
        notice=LOCAL_NOTICE if any(map(is_local, systems)) else None,
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
        figures.write(drawn.figures, f"{folder.uri}/charts")
    if drawn.cells:
        paper_tables.write(drawn.cells, f"{folder.uri}/tables")

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
    rows: list[LabelRow] = catalog.read_beside("labels")
    return {row["video_id"]: row for row in rows if annotator in (None, row["annotator"])}


def _is_duplicate(listed: pa.Table) -> np.ndarray:
    """bool [N]: rows whose id has a row already."""
    return np.asarray(pc.fill_null(pc.equal(listed["error"], Reason.DUPLICATE_ID), False).to_numpy(), bool)


def _with_a_page(listed: pa.Table, labels: dict[str, LabelRow], most: int) -> np.ndarray:
    """bool [N]: all videos, or where there are more than `most` the annotated ones first."""
    page_N = ~_is_duplicate(listed)
    if int(page_N.sum()) <= most:
        return page_N
    annotated = pc.is_in(listed["video_id"], pa.array(sorted(labels), pa.string())).to_numpy()
    order = np.flatnonzero(page_N)
    chosen = np.concatenate([order[annotated[order]], order[~annotated[order]]])[:most]
    page_N[:] = False
    page_N[chosen] = True
    return page_N


def _read(folder: Folder, known: np.ndarray, paged: np.ndarray) -> Stage:
    """Of a system that was trained several times: what its first partition and seed said of each video."""
    tables = []
    first: tuple[str, int] | None = None
    for path in folder.paths():
        table = read_parquet(path)
        table = table.filter(pa.array(contains(known, keys_of(table["row_key"]))))
        if "split" in table.column_names:
            runs = table.select(["split", "seed"]).group_by(["split", "seed"]).aggregate([]).to_pylist()
            first = min(
                [*([first] if first else []), *((run["split"] or "", run["seed"] or 0) for run in runs)]
            )
        tables.append(_slim(table, paged))
    counted, failed, shown = [], [], list[Any]()
    for slim, rows in tables:
        keep = _of_run(slim, first)
        counted.append(slim.filter(keep))
        failed.append(_failed(counted[-1]))
        shown += rows.filter(_of_run(rows, first)).to_pylist()
    return Stage(_coverage(pa.concat_tables(counted)), pa.concat_tables(failed), shown)


def _slim(table: pa.Table, paged: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """The columns that are counted of all rows, and all columns of the rows that are shown."""
    columns = ["video_id", "row_key", "error", "detail", "split", "seed", "abstained"]
    some = table.select([name for name in columns if name in table.column_names])
    return some, table.filter(pa.array(contains(paged, keys_of(table["row_key"]))))


def _of_run(table: pa.Table, first: tuple[str, int] | None) -> pa.ChunkedArray:
    if first is None:
        return pa.chunked_array([pa.array(np.ones(table.num_rows, bool))])
    split = pc.equal(pc.fill_null(table["split"], ""), first[0])
    return pc.and_(split, pc.equal(pc.fill_null(table["seed"], 0), first[1]))


def _coverage(table: pa.Table) -> Coverage:
    """As evaluate.scores.coverage, without a Python object per row."""
    failed = table["error"].drop_null()
    counts = {count["values"]: count["counts"] for count in pc.value_counts(failed).to_pylist()}
    abstained = pc.sum(table["abstained"]).as_py() or 0 if "abstained" in table.column_names else 0
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Coverage(table.num_rows, table.num_rows - len(failed), abstained, ordered)


def _failed(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table["error"])).select(["video_id", "row_key", "error", "detail"])


def _failures(stages: dict[str, Stage], twice: pa.Table) -> tuple[list[Failure], int]:
    """Each video once, at the stage where it failed first, and rows whose id was `twice` listed; how many in all.

    The latter may have the key of the row that has the id, which did not fail by that.
    """
    seen = np.empty(0, "S16")
    found = [
        Failure(row["video_id"], "catalog", row["error"], row["detail"])
        for row in twice.slice(0, FAILURES_LISTED).to_pylist()
    ]
    for name, stage in stages.items():
        keys = keys_of(stage.failed["row_key"])
        new = ~contains(seen, keys)
        _, once = np.unique(keys[new], return_index=True)
        rows = stage.failed.filter(pa.array(new)).take(pa.array(np.sort(once)))
        found += [
            Failure(row["video_id"], name, row["error"], row["detail"], row["row_key"])
            for row in rows.slice(0, FAILURES_LISTED).to_pylist()
        ]
        seen = np.unique(np.concatenate([seen, keys]))
    return sorted(found, key=lambda failure: failure.video_id), len(seen) + twice.num_rows


def _corpora(study: Study, systems: Sequence[str], annotated: bool, annotator: str | None) -> list[Corpus]:
    """Of the annotations and of every system that has a result."""
    names = [*([ANNOTATIONS] if annotated else []), *systems]
    found = [read_corpus(study, name, annotator) for name in names]
    return [one for one in found if one.videos.num_rows]


def _rates(corpus: Corpus) -> Rates:
    found = prevalence_in(corpus)
    return Rates(
        corpus.system,
        found.header,
        corpus.is_human,
        tuple(found.lines),
        tuple(found.confusions),
        tuple(found.notes),
    )


def _with_accounts(listed: pa.Table, labels: dict[str, LabelRow], catalog: Folder) -> pa.Table:
    """The catalog; where it names no account that of the annotation, where it names no genre that of the account."""
    named = pa.array([row["account"] for row in labels.values()], pa.string())
    place = pc.index_in(listed["video_id"], pa.array(list(labels), pa.string()))
    accounts = pc.coalesce(listed["account"], named.take(place.combine_chunks()))
    genre_of = {row["account"]: row["genre"] for row in catalog.read_beside("accounts") if row["genre"]}
    genres = pa.array(list(genre_of.values()), pa.string())
    place = pc.index_in(accounts, pa.array(list(genre_of), pa.string()))
    genres = pc.coalesce(listed["genre"], genres.take(place.combine_chunks()))
    for name, column in (("account", accounts), ("genre", genres)):
        listed = listed.set_column(listed.schema.get_field_index(name), name, column)
    return listed


def _account_lines(
    listed: pa.Table, stages: dict[str, Stage], labels: dict[str, LabelRow], corpora: Sequence[Corpus]
) -> tuple[Account, ...]:
    """Those with the most videos, videos without an account last; nothing where no account is known."""
    counted = ~_is_duplicate(listed)
    encoded = pc.fill_null(listed["account"], "").combine_chunks().dictionary_encode()
    names, code_N = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if not any(names):
        return ()
    videos = np.bincount(code_N[counted], minlength=len(names))
    keys_N = keys_of(listed["row_key"])
    lost = np.unique(np.concatenate([keys_of(stage.failed["row_key"]) for stage in stages.values()]))
    failed = np.bincount(code_N[counted & contains(lost, keys_N)], minlength=len(names))
    is_annotated = pc.is_in(listed["video_id"], pa.array(sorted(labels), pa.string())).to_numpy()
    annotated = np.bincount(code_N[counted & is_annotated], minlength=len(names))
    genres = dict(
        zip(code_N.tolist(), listed["genre"].to_pylist(), strict=True)
    )  # of an account's last video
    order = sorted(range(len(names)), key=lambda i: (not names[i], -videos[i], names[i]))[:ACCOUNTS_LISTED]
    most = {one.system: _most(one, [names[i] for i in order]) for one in corpora}
    return tuple(
        Account(
            names[i] or None,
            genres[i] if names[i] else None,
            int(videos[i]),
            int(failed[i]),
            int(annotated[i]),
            {system: labels_of[names[i]] for system, labels_of in most.items() if names[i] in labels_of},
        )
        for i in order
    )


def _most(corpus: Corpus, accounts: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """By account its most frequent labels and their shares of its videos with a result."""
    place = pc.index_in(pc.fill_null(corpus.videos["account"], ""), pa.array(accounts, pa.string()))
    code = pc.fill_null(place, -1).to_numpy()
    found = {}
    for i in np.unique(code[code >= 0]).tolist():
        share_L = corpus.said[code == i].mean(0)
        best = np.argsort(-share_L, kind="stable")[:LABELS_OF_AN_ACCOUNT]
        labels = corpus.codebook.labels
        found[accounts[i]] = [(labels[at], float(share_L[at])) for at in best.tolist() if share_L[at] > 0]
    return found


def _pictures(config: ReportConfig, catalog: Folder, videos: Sequence[VideoRow]) -> set[str]:
    """Row keys of the videos that have pictures now: none of accounts that feature a minor."""
    minors = {row["account"] for row in catalog.read_beside("accounts") if row["is_minor"]}
    shown = [row for row in videos if row["account"] not in minors]
    return take_pictures(shown, f"{config.folder}/{PICTURES}", config.folder, config.limits)


def _cards(
    videos: Sequence[VideoRow],
    stages: dict[str, Stage],
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
