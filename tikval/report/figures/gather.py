"""A study -> the paper's Figures 1 to 4 and more, as files: SVG, PNG, PDF, and their numbers as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.evaluate.attrition import Attrition, attrition_of
from tikval.evaluate.corpus import ANNOTATIONS, SystemCorpus, read_system_corpus
from tikval.evaluate.prevalence import RAW as RAW_RATES
from tikval.evaluate.prevalence import prevalence_in
from tikval.evaluate.video_groups import MONTH
from tikval.files import write_bytes
from tikval.report.figures import sheets as sheet_of
from tikval.report.figures.numbers import STANCES, FigureSeries, radar_of, series_of
from tikval.report.figures.pipelines import pipeline_steps
from tikval.report.figures.point_sheets import value_f1_sheet, value_rates_sheet
from tikval.report.figures.points import circle_has_enough, enough_for_a_circle
from tikval.report.figures.rates import GroupRates, genres_of, months_of, most_predicted, rates_of
from tikval.report.figures.sheets import Sheet
from tikval.report.figures.style import RAW, SUFFIXES, render, styled
from tikval.report.figures.systems import scored_of
from tikval.store.runs import Study, system_config
from tikval.values import SLUGS

__all__ = ["Figures", "Sheet", "figures_of", "listing", "write_figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    sheets: list[Sheet]
    series: list[FigureSeries]
    skipped: list[str]  # what is not drawn, and why
    notes: list[str] = field(default_factory=list)


def figures_of(study: Study, systems: Sequence[str] = (), annotator: str | None = None) -> Figures:
    """The figures of the annotations, where there are any, and of the systems that are named, else of all.

    Raises UserError for a system or annotator that is not there, for several annotators of whom none is named, and
    where a system's files have changed since it ran.
    """
    return figures_of_corpora(study, _corpora(study, systems, annotator))


def figures_of_corpora(
    study: Study, read: Iterable[SystemCorpus], attrition: Attrition | None = None
) -> Figures:
    """The figures of corpora that are read, with the `month` of their videos. Raises UserError where none has any."""
    corpora, skipped, notes = _of_one_codebook(study, read)
    book, runs = corpora[0].codebook, study.systems()
    series = [series_of(one.system, one.predicted, one.modelled, is_human=one.is_human) for one in corpora]
    names = [one.name for one in series if not one.is_human]
    sheets = [sheet_of.per_video_sheet(series), sheet_of.occurrences_sheet(series, book)]
    if names:
        pipelines = {name: pipeline_steps(system_config(runs[name][1])) for name in names}
        sheets.append(sheet_of.pipelines_sheet(pipelines))
    else:
        skipped.append("figure3_pipelines: no system has a result")
    scored, missing, more = _of_scores(study, book, names)
    sheets += scored
    skipped += missing
    if book.slugs == SLUGS and circle_has_enough(series):
        sheets.append(sheet_of.circle_sheet(series, book))
    elif book.slugs == SLUGS:
        sheets.append(value_rates_sheet([_all_videos(one) for one in corpora], book))
    else:
        skipped.append(
            f"circle: {book.name} has other values than Schwartz's 19, and no circle of them is known"
        )
    system = min(names, default=None)
    counted = attrition if attrition and attrition.system == system else attrition_of(study, system)
    sheets.append(sheet_of.attrition_sheet(counted))
    grouped, missing = _of_groups(corpora)
    return Figures([*sheets, *grouped], series, [*skipped, *missing], [*notes, *more])


def _corpora(study: Study, systems: Sequence[str], annotator: str | None) -> Iterator[SystemCorpus]:
    """The annotations first, and then every system, each as it is needed."""
    has_labels = bool(study.annotations())
    if annotator and not has_labels:
        raise UserError(f"no annotator {annotator}; there are none")
    names = [*([ANNOTATIONS] if has_labels else []), *(dict.fromkeys(systems) or sorted(study.systems()))]
    if not names:
        raise UserError(f"{study.out}: no system has finished yet, and there are no annotations")
    for name in dict.fromkeys(names):
        yield read_system_corpus(study, name, annotator, [MONTH])


def _of_one_codebook(
    study: Study, read: Iterable[SystemCorpus]
) -> tuple[list[SystemCorpus], list[str], list[str]]:
    """Those of the first one's codebook, with a video at least; what is left out, and notes."""
    kept: list[SystemCorpus] = []
    skipped, notes = list[str](), list[str]()
    for one in read:
        if not one.videos.num_rows:
            skipped.append(f"{one.system}: no video has a result")
        elif kept and (one.codebook.name, one.codebook.slugs) != (
            kept[0].codebook.name,
            kept[0].codebook.slugs,
        ):
            skipped.append(
                f"{one.system}: is of {one.codebook.name}, {kept[0].system} of {kept[0].codebook.name}"
            )
        else:
            kept.append(one)
            left = ", ".join(f"{reason} {n:,}" for reason, n in one.left_out.items())
            notes += [f"{one.system}: left out {left}"] if left else []
            notes += [] if one.is_human else one.notes  # theirs name the annotator
    if not kept:
        raise UserError(f"{study.out}: nothing to draw: {'; '.join(skipped)}")
    return kept, skipped, notes


def _of_scores(
    study: Study, book: Codebook, systems: Sequence[str]
) -> tuple[list[Sheet], list[str], list[str]]:
    """The sheets of the scores that finished last; what is not drawn, and notes."""
    latest = study.latest("scores")
    scores = latest[0].read().to_pylist() if latest else []
    if not scores:
        why = "nothing is annotated" if latest else "nothing is scored; run jobs/evaluate.py"
        return [], [f"figure4_radar, systems_f1: no scores: {why}"], []
    assert latest is not None
    if other := {row["label_set"] for row in scores} - {book.label_set}:
        of = ", ".join(sorted(other))
        return [], [f"figure4_radar, systems_f1: the scores are of {of}, not {book.label_set}"], []
    sheets, skipped, notes = list[Sheet](), list[str](), list[str]()
    scored = {row["system"] for row in scores}
    if unscored := [name for name in systems if name not in scored]:
        notes.append(
            f"not in the last scores, so neither in the radars nor in systems_f1: {', '.join(unscored)}"
        )
    if not study.reads_what_is_there(latest[1]):
        notes.append(
            "predictions or annotations have changed since they were scored; run jobs/evaluate.py again"
        )
    for stance in STANCES:
        try:
            radar = radar_of(scores, book.slugs, stance, systems)
            sheets.append(sheet_of.radar_sheet(radar, book))
            if not enough_for_a_circle(radar.support):
                sheets.append(value_f1_sheet(radar, book))
        except ValueError as err:
            skipped.append(f"figure4_radar_{stance}: {err}")
    try:
        sheets.append(sheet_of.systems_sheet(scored_of(scores, systems)))
    except ValueError as err:
        skipped.append(f"systems_f1: {err}")
    return sheets, skipped, notes


def _of_groups(corpora: Sequence[SystemCorpus]) -> tuple[list[Sheet], list[str]]:
    """Sheets by genre and month, of the annotations and the first system (more would be a book); what is not drawn."""
    sheets, skipped = list[Sheet](), list[str]()
    book = corpora[0].codebook
    shown = [one for one in corpora if one.is_human] + [one for one in corpora if not one.is_human][:1]
    for by in ("genre", "month"):
        sources = list[GroupRates]()
        for corpus in shown:
            try:
                sources.append(_grouped(corpus, by))
            except (UserError, ValueError) as err:
                skipped.append(f"prevalence_{by} of {corpus.system}: {err}")
        if sources and by == "genre":
            sheets.append(sheet_of.genres_sheet(sources, book))
        elif sources and (values := most_predicted(sources[0])):
            sheets.append(sheet_of.months_sheet(sources, book, values))
        elif sources:
            skipped.append(f"prevalence_month: {sources[0].name} has no value")
    return sheets, skipped


def _all_videos(corpus: SystemCorpus) -> GroupRates:
    """One system's rates over all of its videos."""
    note = "" if corpus.is_human else RAW_RATES
    return rates_of(corpus.system, prevalence_in(corpus).lines, corpus.codebook.slugs, note)


def _grouped(corpus: SystemCorpus, by: str) -> GroupRates:
    """One system's rates. Raises UserError where no video has a genre or a date, ValueError for too few groups."""
    found = prevalence_in(corpus, by)
    note = "" if corpus.is_human else RAW_RATES
    rates = rates_of(corpus.system, found.lines, corpus.codebook.slugs, note, found.small)
    if by == "month":
        return months_of(rates)
    return genres_of(rates, set(corpus.videos["genre"].unique().to_pylist()))


def write_figures(found: Figures, folder: str | Path) -> list[str]:
    """Write every figure in four forms, then figures.md, which lists them; each file whole or not at all.

    `folder` is a path or a URI of any store that pyarrow opens; returns the paths or URIs of the files. Files of an
    earlier run that are not drawn this time stay, and figures.md does not list them. Raises UserError where the folder
    cannot be written.
    """
    files: dict[str, bytes] = {}
    with styled():
        for sheet in found.sheets:
            figure = sheet.draw()
            for suffix in SUFFIXES:
                files[f"{sheet.name}.{suffix}"] = render(figure, suffix)
            files[f"{sheet.name}.csv"] = sheet.numbers
    files["figures.md"] = listing(found).encode()
    where = str(folder).rstrip("/")
    try:
        for name, data in files.items():
            write_bytes(f"{where}/{name}", data)
    except OSError as err:
        raise UserError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return [f"{where}/{name}" for name in files]


def listing(found: Figures) -> str:
    """The text of figures.md: each figure in one sentence, the systems and counts, and what was not drawn."""
    lines = ["# Figures", "", RAW, ""]
    lines += [f"* {one.name}: {one.videos:,} videos with a result" for one in found.series]
    lines += [f"* {note}" for note in found.notes]
    for sheet in found.sheets:
        forms = ", ".join(f"[{suffix}]({sheet.name}.{suffix})" for suffix in (*SUFFIXES, "csv"))
        lines += ["", f"## {sheet.title}", f"{sheet.shows} Of {', '.join(sheet.systems)}. {forms}"]
    if found.skipped:
        lines += ["", "## Not drawn", *(f"* {why}" for why in found.skipped)]
    return "\n".join(lines) + "\n"
