"""What the stages of a study wrote -> a Report, and the figures and tables that are written with its pages."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tikval.claims.families import is_outdated, read_families
from tikval.codebook import Codebook
from tikval.config import ReportConfig
from tikval.evaluate.attrition import Attrition, attrition_of
from tikval.evaluate.corpus import ANNOTATIONS, SystemCorpus, read_system_corpus
from tikval.evaluate.prevalence import prevalence_in
from tikval.evaluate.video_groups import MONTH
from tikval.report.figures.gather import Figures, figures_of_corpora
from tikval.report.notices import local_notice
from tikval.report.score_meaning import score_meaning_of
from tikval.report.shown_ids import shown_ids
from tikval.report.site.accounts import count_accounts, with_labels
from tikval.report.site.calls import calls_of, prompts_of
from tikval.report.site.evidence_table import system_evidence
from tikval.report.site.facts import (
    about,
    also_here,
    bills_of,
    cascade_promises,
    command_of,
    model_changes,
    report_facts,
    scripts_of,
)
from tikval.report.site.gap import pairs_of
from tikval.report.site.judged_scripts import judged_scripts, recognised_texts
from tikval.report.site.label_places import LabelPlaces, label_places
from tikval.report.site.pictures import n_shown, pictures_of
from tikval.report.site.players import player_of
from tikval.report.site.post_marks import COUNTS, marks_of
from tikval.report.site.record import Card, Chart, Failure, LabelAt, Report, SystemRates
from tikval.report.site.rows import FAILURES_LISTED
from tikval.report.site.samples import sample_facts
from tikval.report.site.study_rows import StudyRows, places_of, read_study
from tikval.report.tables.paper import PaperTables, tables_of
from tikval.rows import PredictionRow, ScriptRow, VideoRow
from tikval.store.folder import Folder
from tikval.store.runs import Study


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is written with the pages: figures, and the paper's tables. None: there are none."""

    figures: Figures | None
    tables: PaperTables | None


def gather(config: ReportConfig, codebook: Codebook) -> tuple[Report, Drawn]:
    """The report of a study. Raises UserError where a stage has not finished, and what read_corpus raises."""
    places = [config.scores.catalog.folder, *(each.uri for each in places_of(config).values())]
    study = Study(config.out, [*places, config.scores.folder])
    attrition = attrition_of(study)  # before anything else of each video is in memory
    rows, listed = read_study(config, codebook.label_set)
    accounts, n_accounts = count_accounts(listed), len(listed.account.dictionary)
    del listed  # of each video of the catalog, before what systems say of each
    corpora = _corpora(study, config, annotated=bool(rows.labels))
    report = _head(config, codebook, rows)
    report = _with_scores(report, config, rows.scores)
    report = replace(report, accounts=with_labels(accounts, corpora), n_accounts=n_accounts)
    report = replace(report, rates=tuple(map(_rates, corpora)))
    report = _with_videos(report, config, rows, label_places(rows, codebook))
    several = len(Study(config.out).label_sets) > 1
    report = replace(report, out=config.out, label_set=codebook.label_set if several else None)
    report = replace(report, attrition=attrition)
    evidence = system_evidence(config, rows.places, rows.recognised, codebook.labels)
    report = replace(report, evidence=evidence)
    report = _with_claims(report, config.out, codebook.label_set)
    drawn = Drawn(_figures(study, corpora, attrition), tables_of(study) if report.scores else None)
    return _with_drawn(report, drawn), drawn


def _with_claims(report: Report, out: str, label_set: str) -> Report:
    """The report with the families over its codebook."""
    families = tuple(read_families(out, label_set))
    if not families:
        return report
    study = Study(out, codebook=label_set)
    outdated = frozenset(one.name for one in families if is_outdated(study, one))
    return replace(report, claims=families, outdated_claims=outdated)


def _corpora(study: Study, config: ReportConfig, *, annotated: bool) -> list[SystemCorpus]:
    """The annotations, and every system that has a result."""
    names = [*([ANNOTATIONS] if annotated else []), *(system.system for system in config.scores.predictions)]
    annotator = config.scores.annotator
    found = [read_system_corpus(study, name, annotator, [MONTH]) for name in names]
    return [one for one in found if one.videos.num_rows]


def _figures(study: Study, corpora: Sequence[SystemCorpus], attrition: Attrition) -> Figures | None:
    return figures_of_corpora(study, corpora, attrition) if corpora else None


def _head(config: ReportConfig, codebook: Codebook, rows: StudyRows) -> Report:
    """The head of the report: how it was made, and what came out of each stage."""
    systems = config.scores.predictions
    cascades = cascade_promises(config)
    return Report(
        title=config.title,
        facts=(*report_facts(config, codebook, rows.catalog), *sample_facts(config, rows)),
        command=command_of(config),
        also=also_here(config, codebook.label_set),
        labels=codebook.labels,
        titles={value.slug: value.title for value in codebook.values},
        systems=tuple((system.system, about(config, system, rows.places)) for system in systems),
        coverage=tuple((name, stage.coverage) for name, stage in rows.stages.items()),
        notice=" ".join(filter(None, [local_notice(systems), *(w for one in cascades for w in one.warnings)]))
        or None,
        cascades=cascades,
        model_changes=model_changes(config),
        exports=(("One line per video and system", f"tikval export {shlex.quote(config.out)} values.csv"),),
        bills=bills_of(config),
        show_accounts=config.show_accounts,
        scores_are={
            system.system: score_meaning_of(rows.places[f"values: {system.system}"], system, codebook)
            for system in systems
        },
    )


def _with_scores(report: Report, config: ReportConfig, scores: Folder) -> Report:
    """The report with the scores and what was tested on them."""
    return replace(
        report,
        scores=tuple(scores.read().to_pylist()),
        comparisons=tuple(scores.read_side_table("comparisons")),
        slices=tuple(scores.read_side_table("slices")),
        pairs=pairs_of(config.scores.predictions),
    )


def _rates(corpus: SystemCorpus) -> SystemRates:
    found = prevalence_in(corpus)
    return SystemRates(
        corpus.system,
        found.header,
        corpus.is_human,
        tuple(found.lines),
        tuple(found.confusions),
        tuple(found.notes),
        corpus.teacher,
    )


def _with_videos(report: Report, config: ReportConfig, rows: StudyRows, places: LabelPlaces | None) -> Report:
    """The report with failures, and with the cards of the videos that get a page; no id names anybody."""
    naming = shown_ids(Study(config.out, [rows.catalog.uri]))
    shown = {} if config.show_accounts else naming

    def named(failure: Failure) -> Failure:
        return replace(failure, video_id=shown.get(failure.video_id, failure.video_id))

    return replace(
        report,
        failures=tuple(map(named, rows.failures[:FAILURES_LISTED])),
        n_failures=rows.n_failures,
        cards=tuple(
            replace(
                card,
                video_id=shown.get(card.video_id, card.video_id),
                failures=tuple(map(named, card.failures)),
            )
            for card in _cards(config, rows, places.by_video if places else {}, naming)
        ),
        labels_file=places.file if places else "",
        n_videos=rows.n_videos,
        prompts=prompts_of(config),
    )


def _cards(
    config: ReportConfig,
    rows: StudyRows,
    places: Mapping[str, tuple[LabelAt, ...]],
    naming: Mapping[str, str],
) -> Iterator[Card]:
    """One card per video that gets a page, in the catalog's order, with the first recipe's script."""
    videos = rows.shown
    pictured = pictures_of(config, rows.catalog, videos) if config.show_pictures else set[str]()
    scripts = next(iter(scripts_of(config)), None)
    script_of = {row["row_key"]: row for row in rows.stages[scripts].shown} if scripts else {}
    judged, recognised = judged_scripts(config, rows), recognised_texts(rows.recognised, rows)
    predictions_of, calls = _predictions(rows), calls_of(config, rows)
    failure_of = {failure.key: failure for failure in rows.failures}
    for video in videos:
        key = video["row_key"]
        label, failure = rows.labels.get(video["video_id"]), failure_of.get(key)
        address, why_none = player_of(video, config, names=video["video_id"] in naming)
        yield Card(
            video_id=video["video_id"],
            key=key,
            **_script(script_of.get(key), video),
            account=video["account"],
            genre=video["genre"],
            month=f"{video['posted_at']:%Y-%m}" if video["posted_at"] else None,
            marks=marks_of(video),
            counts={name: video[name] for name in COUNTS if video[name] is not None},
            failures=(failure,) if failure else (),
            predictions=tuple(predictions_of.get(key, ())),
            annotated=tuple(label["stances"]) if label else None,
            places=places.get(video["video_id"], ()) if label else (),
            pictures=n_shown(video) if key in pictured else 0,
            recognised=recognised.get(key),
            scripts_of={system: texts.get(key) for system, texts in judged.items()},
            is_photos=bool(video["files"]),
            video=address,
            no_video=why_none,
            calls=tuple(calls.get(key, ())),
        )


def _script(row: ScriptRow | None, video: VideoRow) -> dict[str, Any]:
    """What a card has of its video's script, and the caption."""
    if row is None:
        return {"caption": video["caption"]}
    return {
        "seconds": row["seconds"],
        "script": row["script"],
        "caption": row["caption"],
        "line_starts": tuple(row["line_starts"] or ()),
        "line_ends": tuple(row["line_ends"] or ()),
    }


def _predictions(rows: StudyRows) -> dict[str, list[PredictionRow]]:
    """The rows of all systems of each video that gets a page, by row key."""
    found: dict[str, list[Any]] = {}
    for name, stage in rows.stages.items():
        if name.startswith("values: "):
            for row in stage.shown:
                found.setdefault(row["row_key"], []).append(row)
    return found


def _with_drawn(report: Report, drawn: Drawn) -> Report:
    """The report with the charts and the paper's tables."""
    if drawn.tables:
        report = replace(report, grids=tuple(drawn.tables.grids()), averaged=tuple(drawn.tables.averaged))
    if drawn.figures is None:
        return report
    charts = (Chart(one.name, one.title, one.shows, one.numbers, one.data) for one in drawn.figures.sheets)
    not_drawn = (f"not drawn: {why}" for why in drawn.figures.skipped)
    return replace(report, charts=tuple(charts), notes=(*drawn.figures.notes, *not_drawn))
