"""The labels of all videos of a study by one system or annotator, as arrays: some 14 bytes a video, for millions.

Tables are read file by file, and of a video no more is kept than what somebody asks for.
Shape letters: N videos with a result, n of them annotated, V values, L = 2V labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook, load_codebook
from tikval.config import CatalogConfig, ExtractConfig, PredictConfig, TuneConfig, UserError, find_file
from tikval.evaluate.batches import BatchLabels, BatchRecord, labels_of_batches, read_batches
from tikval.evaluate.development import without_development
from tikval.evaluate.judgements import judgements_of, rows_of_listed, scores_of_videos
from tikval.evaluate.listed_videos import ListedVideos, read_listed
from tikval.evaluate.video_groups import account_codes
from tikval.files import read_bytes
from tikval.rows import LabelRow
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.decisions import Decisions
from tikval.stats.folds import PARTS, from_json
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, keys_of
from tikval.store.runs import Study, system_config
from tikval.store.teacher import folder_in_study, teacher_answers
from tikval.values import binary

ANNOTATIONS: Final = "annotations"  # in the place of a system's name: the annotator's own labels
TRAINED_ON: Final = "trained on"
NOT_ANNOTATED: Final = "not annotated, so that nothing is said of them"


@dataclass(frozen=True)
class SystemCorpus:
    system: str
    codebook: Codebook
    predicted: Decisions  # [N, L]
    modelled: Bools  # [L]
    videos: (
        pa.Table
    )  # [N] as the catalog has them: account, genre, and what else of VideoRow or PostRow was asked for
    labelled: Ints  # [n] places in N of the annotated videos
    truth: Bools  # [n, L]
    probability: Floats  # [n] that each annotated video was drawn; nan: not known
    annotated_by: str  # how they were chosen, as the catalog's configuration says
    left_out: dict[str, int]  # videos of the catalog without a usable result, by reason
    notes: list[str] = field(default_factory=list)
    not_annotated: tuple[
        int, ...
    ] = ()  # places in L of labels that nobody looked for: `truth` tells nothing of them
    scores: Floats | None = None  # [N, L] nan where the system gives none; None: not read
    batches: BatchLabels | None = None  # how labels weigh that batches drew; None: there were no batches
    teacher: str | None = None  # whose answers to its random sample are `truth`, in the place of annotations
    # rates of the scores are corrected, and not of decisions: of a system that learnt from `truth`, whose scores of
    # other videos are on average what those out of fold are
    corrects_scores: bool = False

    @property
    def known_scores(self) -> Floats:
        """[N, L] the scores; 0 of a label that is not modelled. Raises UserError where a video has none."""
        if self.scores is None or np.isnan(self.scores[:, self.modelled]).any():
            raise UserError(f"{self.system}: some of its results have no scores")
        return np.nan_to_num(self.scores)

    @property
    def is_human(self) -> bool:
        return self.system == ANNOTATIONS


def read_system_corpus(
    study: Study,
    system: str | None = None,
    annotator: str | None = None,
    columns: Sequence[str] = (),
    *,
    with_scores: bool = False,
) -> SystemCorpus:
    """Read the system that is named, or the only one, with further `columns` of its videos or their posts, or `month`.

    The labels are those of `annotator`, else of whom the scores name; of a distilled system those of its teacher, where
    that is named as the annotator, or nobody annotated. Scores are read where they are asked for, and where batches
    were drawn by them. Raises UserError where it is unclear which one, or it is not there.
    """
    catalog = study.catalog()
    annotations = study.annotations()
    system = system or _only(study, annotations)
    config = _distilled(study, system)
    teacher = config and config.teacher
    if config and teacher and annotator in (None, teacher.system) and (annotator or not annotations):
        folder = study.systems()[system][0]
        return _taught(_predicted(study, system, [*columns, "row_key"], [], "teacher"), folder, teacher)
    labels, whose = _labels(annotations, annotator or study.annotator())
    if system == ANNOTATIONS:
        return _human(study, columns, labels, whose)
    if system not in study.systems():
        there = ", ".join(sorted(study.systems())) or "none"
        raise UserError(f"{study.out}: no system {system}; there are {there}")
    kept, development = without_development(labels, catalog)
    records = read_batches(study.out)
    folder, run = study.systems()[system]
    learns, scored = run.stage == TuneConfig.stage, bool(records) or with_scores
    columns = [*columns, *(["row_key"] if learns or scored else []), *(["video_id"] if records else [])]
    corpus = _predicted(study, system, columns, kept, _annotated_by(catalog))
    if learns and len(corpus.labelled):
        corpus = _with_learnt(corpus, folder, in_batches=bool(records))
    if development:
        corpus.notes.append(f"development sample, which corrects nothing: {development.about}")
    if scored and corpus.scores is None:
        corpus = replace(corpus, scores=scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels)))
    return with_batches(corpus, records) if records else corpus


def codebook_given(study: Study) -> Codebook:
    """The picked codebook or, where nothing is over any yet, the one that the catalog was given."""
    if study.label_set:
        return study.codebook()
    file = CatalogConfig.model_validate(study.catalog().finished().config).codebook
    try:
        return load_codebook(find_file(file))
    except ValueError as err:
        raise UserError(str(err)) from err


def read_unjudged_corpus(
    study: Study, annotator: str | None = None, columns: Sequence[str] = ()
) -> SystemCorpus:
    """All videos without a failure, with their ids, and their labels, where no system has judged any."""
    catalog = study.catalog()
    labels, _ = _labels(study.annotations(), annotator or study.annotator())
    labels, _ = without_development(labels, catalog)
    listed = read_listed(catalog, ["video_id", *columns], [row["video_id"] for row in labels])
    videos = listed.videos.filter(pa.array(listed.usable))
    codebook, notes = codebook_given(study), list[str]()
    n_labels = len(codebook.labels)
    corpus = SystemCorpus(
        "",
        codebook,
        Decisions.none(videos.num_rows, n_labels),
        np.zeros(n_labels, bool),
        videos,
        *_truth(listed, listed.usable, labels, n_labels),
        _annotated_by(catalog),
        {},
        notes,
        _not_annotated(labels, codebook, notes),
    )
    return with_batches(corpus, read_batches(study.out))


def with_batches(corpus: SystemCorpus, records: Sequence[BatchRecord]) -> SystemCorpus:
    """The corpus with how its labels weigh by the records of batches; without any, by the sample before them.

    Its videos are there with their ids.
    """
    account_N, _ = account_codes(corpus.videos)
    by, probability = corpus.annotated_by, corpus.probability
    found = labels_of_batches(
        records,
        corpus.videos["video_id"],
        corpus.labelled,
        np.full(len(probability), np.nan) if by == "accounts" else probability,
        account_N,
        at_random=by == "random" and bool(np.isnan(probability).all()),
    )
    return replace(corpus, batches=found)


def _annotated_by(catalog: Folder) -> str:
    return str(catalog.finished().config.get("annotated_by", "unknown"))


def _predicted(
    study: Study, system: str, columns: Sequence[str], labels: list[LabelRow], annotated_by: str
) -> SystemCorpus:
    """A system's predictions for listed videos that it was not trained on, with the truth where there is any."""
    folder, run = study.systems()[system]
    config = system_config(run)
    codebook = load_codebook(find_file(config.codebook))
    trained = _trained_on(config) if isinstance(config, PredictConfig) else frozenset[str]()
    names = {row["video_id"] for row in labels} | (trained or set())
    listed = read_listed(study.catalog(), columns, names, with_places=True)
    assert listed.by_key is not None
    judged_V, predicted, modelled, times, out = judgements_of(
        folder, listed.by_key, len(listed.usable), codebook, system
    )
    listed = listed._replace(by_key=None)  # which is as large as all the rest
    notes: list[str] = []
    if times > 1:
        notes.append(f"{system} judged videos {times} times; shares are means over its predictions")
    if trained is None:
        labels = []
        notes.append(f"which videos {system} was trained on is not known any more: nothing is corrected")
    elif trained:
        held_V = np.ones(len(judged_V), bool)
        held_V[
            listed.at[np.isin(listed.which, [i for i, name in enumerate(listed.names) if name in trained])]
        ] = False
        if n_trained := int((judged_V & ~held_V).sum()):
            out[TRAINED_ON] = n_trained
            predicted, judged_V = predicted.only(held_V[judged_V]), judged_V & held_V
    if labels and not _is_over(codebook, labels):
        notes.append(f"the annotations are of {labels[0]['label_set']}, {system} of {codebook.label_set}")
        labels = []
    annotated = _truth(listed, judged_V, labels, len(codebook.labels))
    silent = _not_annotated(labels, codebook, notes)
    videos, left_out = listed.videos.filter(pa.array(judged_V)), dict(out.most_common())
    return SystemCorpus(
        system, codebook, predicted, modelled, videos, *annotated, annotated_by, left_out, notes, silent
    )


def _not_annotated(labels: list[LabelRow], codebook: Codebook, notes: list[str]) -> tuple[int, ...]:
    """Places of the labels of values that these annotations do not have; a note names the values."""
    known = np.array([[code is not None for code in row["stances"]] for row in labels], bool)
    silent = np.flatnonzero(~known.all(0)).tolist() if labels else []
    if silent:
        names = ", ".join(codebook.slugs[v] for v in silent)
        notes.append(f"{NOT_ANNOTATED}: {names}")
    return (*silent, *(v + len(codebook.slugs) for v in silent))


def _is_over(codebook: Codebook, labels: list[LabelRow]) -> bool:
    """Whether annotations are over the labels of a codebook."""
    n_labels = 2 * len(labels[0]["stances"])
    return labels[0]["label_set"] == codebook.label_set and n_labels == len(codebook.labels)


def _human(study: Study, columns: Sequence[str], labels: list[LabelRow], whose: str) -> SystemCorpus:
    """The annotator's labels, with or without videos: what was annotated counts even where no file is there."""
    if not labels:
        raise UserError(
            f"{study.catalog().uri}: has no annotations; name them in the catalog's configuration"
        )
    codebook = study.codebook()
    ids = [row["video_id"] for row in labels]
    listed = read_listed(study.catalog(), columns, ids)
    place = listed.places(ids, listed.usable)
    videos = listed.videos.take(pa.array(place, mask=place < 0))  # nulls where no usable file is there
    named = pa.array([row["account"] for row in labels], pa.string())
    videos = _set(videos, "account", pc.coalesce(videos["account"].cast(pa.string()), named))
    if "video_id" in columns:
        videos = _set(videos, "video_id", pa.chunked_array([ids], pa.string()))
    truth = np.array([binary(row["stances"]) for row in labels], bool)
    notes = [f"labels of {whose}; {int((place < 0).sum())} of these videos have no usable file"]
    none = np.empty(0, np.int64), np.empty((0, truth.shape[1]), bool), np.empty(0)
    known = ~np.isin(np.arange(truth.shape[1]), _not_annotated(labels, codebook, notes))
    if any(row["probability"] is not None for row in labels):
        notes.append("shares of the annotated videos, not weighted by the probabilities they were drawn with")
    how = _annotated_by(study.catalog())
    predicted = Decisions.of(truth)
    return SystemCorpus(ANNOTATIONS, codebook, predicted, known, videos, *none, how, {}, notes)


def _distilled(study: Study, system: str) -> TuneConfig | None:
    """The configuration of a system that learnt from a teacher; None: it did not, or is not there."""
    found = study.systems().get(system)
    if found is None or found[1].config.get("teacher") is None:
        return None
    config = system_config(found[1])
    return config if isinstance(config, TuneConfig) else None


def _taught(corpus: SystemCorpus, folder: Folder, teacher: ExtractConfig) -> SystemCorpus:
    """The corpus with the answers that were learnt from in the place of annotations: these videos have a fold."""
    rows, at_R = rows_of_listed(folder, corpus.videos, "fold")
    at = at_R[np.asarray(rows["fold"].is_valid().to_numpy(), bool)]
    keys = keys_of(corpus.videos["row_key"])[at]
    order = np.argsort(keys)
    answers = teacher_answers(folder_in_study(folder, teacher), keys[order])
    there = contains(answers.keys, keys[order])
    at = at[order][there]
    return replace(
        corpus,
        labelled=at,
        truth=answers.decisions.reshape(len(at), len(corpus.codebook.labels)),
        probability=np.full(len(at), np.nan),
        teacher=teacher.system,
        scores=scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels)),
        corrects_scores=True,
    )


def _with_learnt(corpus: SystemCorpus, folder: Folder, *, in_batches: bool) -> SystemCorpus:
    """A tuned system's corpus with scores that its labels can correct, or without the labels."""
    learnt = [row for row in folder.read_side_table("labelled") if row.get("rate_scores")]
    if corpus.annotated_by != "random" or in_batches or not learnt:
        note = (
            f"{corpus.system} learnt from these labels, which correct it only where videos were drawn at random at "
            "once (--annotated-by random): name another system"
        )
        none = corpus.labelled[:0], corpus.truth[:0], corpus.probability[:0]
        return replace(
            corpus, labelled=none[0], truth=none[1], probability=none[2], notes=[*corpus.notes, note]
        )
    scores = scores_of_videos(folder, corpus.videos, len(corpus.codebook.labels))
    keys = pa.array([row["row_key"] for row in learnt], pa.string())
    which = pc.fill_null(pc.index_in(corpus.videos["row_key"], keys), -1).to_numpy()
    for place in np.flatnonzero(which >= 0).tolist():
        scores[place] = learnt[which[place]]["rate_scores"]
    return replace(corpus, scores=scores, corrects_scores=True)


def _only(study: Study, labels: list[LabelRow]) -> str:
    names = sorted(name for name, (_, run) in study.systems().items() if not run.is_partial)
    if len(names) == 1:
        return names[0]
    if not names and labels:
        return ANNOTATIONS
    if not names:
        raise UserError(f"{study.out}: no system has finished yet, and there are no annotations")
    raise UserError(f"{study.out}: holds several systems; name one with --system: {', '.join(names)}")


def _labels(rows: list[LabelRow], annotator: str | None) -> tuple[list[LabelRow], str]:
    """The labels of one annotator, and who that is."""
    names = sorted({row["annotator"] for row in rows})
    if annotator is None and len(names) > 1:
        raise UserError(f"several annotators; name one with --annotator: {', '.join(names)}")
    if annotator is not None and annotator not in names:
        raise UserError(f"no annotator {annotator}; there are {', '.join(names) or 'none'}")
    whose = annotator or (names[0] if names else "")
    return [row for row in rows if row["annotator"] == whose], whose


def _trained_on(config: PredictConfig) -> frozenset[str] | None:
    """Ids of the videos that the system was trained on; None where that is not known."""
    folds = read_bytes(f"{config.trained.folder}/folds.json")
    if folds is None:  # erased with the rows that it named
        return None
    return frozenset(
        name for fold in from_json(folds.decode()) for part in PARTS for name in getattr(fold, part)
    )


def _truth(
    listed: ListedVideos, judged_V: Bools, labels: list[LabelRow], n_labels: int
) -> tuple[Ints, Bools, Floats]:
    """Places [n] of the annotated among the judged videos, what is true of them [n, L], and each's probability [n]."""
    place = listed.places([row["video_id"] for row in labels], judged_V)
    at = (np.cumsum(judged_V) - 1)[place[place >= 0]]
    kept = [row for row, where in zip(labels, place.tolist(), strict=True) if where >= 0]
    truth = np.array([binary(row["stances"]) for row in kept], bool).reshape(len(kept), n_labels)
    return at, truth, np.array([row["probability"] for row in kept], np.float64)


def _set(videos: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return videos.set_column(videos.schema.get_field_index(name), name, values)
