"""What an export's columns are, in words: the only home of what docs/export.md, a workbook and a Parquet file say.

A column whose name holds VALUE is there once for each value of the systems' codebooks, with its slug in that place.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import pyarrow as pa

from tikval.rows import ScoreRow, arrow_schema

VALUE: Final = "VALUE"
TIME: Final = pa.timestamp("ms", tz="UTC")
_ABOUT: Final = b"about"  # the key of a field's metadata
_STANCE: Final = (
    "1 endorsed, 0 absent, -1 confronted; empty: the system does not model the value, or it failed"
)
_HUMAN: Final = (
    "the annotator's stance: 2 dominant, 1 endorsed, 0 absent, -1 confronted; empty: not annotated"
)
_SCORE: Final = (
    "the system's score of the label VALUE{}; empty: it gives none, as a language model that is asked once"
)
_THRESHOLD: Final = (
    "the score from which on VALUE{} is predicted; empty: the system has none, or it was not kept"
)


class Column(NamedTuple):
    name: str
    type: pa.DataType
    about: str

    def of_value(self, slug: str) -> "Column":
        return Column(self.name.replace(VALUE, slug), self.type, self.about.replace(VALUE, slug))


_NAMES: Final = "only with --names, for it may name somebody"
POST: Final = (  # as a source of posts tells it; empty: none does
    Column("posted_at_from_id", pa.bool_(), "whether posted_at is only what the post's id tells"),
    Column("url", pa.string(), f"of the post; {_NAMES}"),
    Column("pinned", pa.bool_(), "to the top of its account's page; empty: not known"),
    Column("duration", pa.float64(), "seconds, as the platform states it"),
    Column("is_ad", pa.bool_(), "marked as an advertisement"),
    Column("is_aigc", pa.bool_(), "marked as made by a model"),
    Column("is_slideshow", pa.bool_(), "a post of pictures"),
    Column("likes", pa.int64(), "when the source was made, as the counts that follow"),
    Column("shares", pa.int64(), "likewise"),
    Column("comments", pa.int64(), "likewise"),
    Column("plays", pa.int64(), "likewise"),
    Column("saves", pa.int64(), "likewise"),
    Column("music", pa.string(), f"title of its sound; {_NAMES}"),
    Column("hashtags", pa.string(), f"with blanks between; {_NAMES}"),
    Column("collected_at", TIME, "when the post was collected, UTC"),
    Column("source", pa.string(), "what told of the post: the export's kind, or folder"),
)
VIDEO: Final = (
    Column(
        "video_id", pa.string(), "the video; a pseudonym where the id names somebody, unless --names is given"
    ),
    Column("account", pa.string(), "whose video it is, as a number; the name with --names"),
    Column("genre", pa.string(), "of the account, as the catalog has it"),
    Column("posted_at", TIME, "when it was posted, UTC"),
    Column(
        "caption",
        pa.string(),
        "the post's own text; without handles and the account's name, unless --names",
    ),
    *POST,
)
LINE: Final = (
    Column("system", pa.string(), "who predicts"),
    Column("label_set", pa.string(), "the name of its codebook"),
    Column("codebook_version", pa.int64(), "the version that the codebook states"),
    Column(
        "score_kind", pa.string(), "what its scores are: similarity share, vote share, probability or none"
    ),
    Column("split", pa.string(), "of a trained or combined system: the partition (honest-0)"),
    Column("fold", pa.int64(), "of such a system: the fold that was held out; empty for a failure"),
    Column("seed", pa.int64(), "of such a system: the training's seed"),
    Column("sample", pa.int64(), "of a language model whose configuration has a sample"),
    Column("votes", pa.int64(), "of a language model that is asked several times: its valid replies"),
    Column(
        "agreement",
        pa.float64(),
        "of these replies with each other: the share of equal stances over all pairs of them and all values; it is not "
        "corrected for chance",
    ),
    Column("language", pa.string(), "of the speech in the script that the local extractor judged, ISO 639-1"),
    Column("translated", pa.bool_(), "it judged the recogniser's own English of speech in another language"),
    Column(
        "answered_by",
        pa.string(),
        "of a cascade: cheap, strong, or cheap_instead where the strong system was to be asked and cannot or may not "
        "judge this video",
    ),
    Column(
        "error", pa.string(), "why there is no result, a reason of tikval/rows.py; then no value has a stance"
    ),
    Column("model", pa.string(), "asked for; without the folder of a local one, unless --names"),
    Column("model_served", pa.string(), "that answered; empty for most failures"),
    Column(
        "recipe", pa.string(), "fingerprint of all that the result follows from: the end of its folder's name"
    ),
    Column("tikval", pa.string(), "the version that computed it"),
    Column("finished_at", TIME, "when that run finished, UTC"),
)
STANCE: Final = Column(VALUE, pa.int8(), f"VALUE: {_STANCE}")
ANNOTATION: Final = Column("VALUE_annotation", pa.int8(), f"VALUE: {_HUMAN}")
SCORES: Final = (  # endorsed, then confronted, as the labels are ordered
    Column("VALUE_endorsed_score", pa.float32(), _SCORE.format("+")),
    Column("VALUE_confronted_score", pa.float32(), _SCORE.format("-")),
)
THRESHOLDS: Final = (
    Column("VALUE_endorsed_threshold", pa.float64(), _THRESHOLD.format("+")),
    Column("VALUE_confronted_threshold", pa.float64(), _THRESHOLD.format("-")),
)
WIDE: Final = (*VIDEO, *LINE, STANCE, ANNOTATION, *SCORES, *THRESHOLDS)

MOST_PASSAGES: Final = 3  # of a stance
EVIDENCE: Final = (
    *(
        Column(f"evidence_{n}_{name}", kind, about)
        for n in range(1, MOST_PASSAGES + 1)
        for name, kind, about in (
            (
                "quote",
                pa.string(),
                f"words of the stance's passage {n}, the heaviest first, spelt as they stand there, without handles; "
                "empty: there is none, or none that may be shown as a quote",
            ),
            ("source", pa.string(), "speech, on_screen, action, caption or picture"),
            ("start", pa.float64(), "seconds of the video; empty: not known, or the passage is not found"),
            ("end", pa.float64(), "likewise"),
            ("status", pa.string(), "found, not compared or not found; empty: there is no such passage"),
        )
    ),
    Column(
        "evidence_not_found",
        pa.int8(),
        "how many of the stance's passages are not found; empty: it has none",
    ),
)

LONG: Final = (
    *VIDEO,
    *LINE,
    Column("value", pa.string(), "the value's slug in the codebook"),
    Column("stance", pa.int8(), _STANCE),
    Column(
        "dominant", pa.bool_(), "of a language model: whether the value is one of the video's dominant ones"
    ),
    Column("endorsed_score", pa.float32(), _SCORE.format("+").replace(VALUE, "value")),
    Column("endorsed_threshold", pa.float64(), _THRESHOLD.format("+").replace(VALUE, "value")),
    Column("confronted_score", pa.float32(), _SCORE.format("-").replace(VALUE, "value")),
    Column("confronted_threshold", pa.float64(), _THRESHOLD.format("-").replace(VALUE, "value")),
    Column("annotation", pa.int8(), _HUMAN),
    *EVIDENCE,
)

_SCORE_ABOUT: Final = {
    "recipe": "fingerprint of the evaluation",
    "scored_at": "when it finished, UTC",
    "system": "whose predictions are scored, or the baseline",
    "label_set": "the name of the codebook",
    "failures": "how videos without a result are counted: left_out, wrong or right",
    "stance": "endorsed, confronted or all",
    "label": "a label (face+) or an aggregate: macro, weighted, movie, movie_micro",
    "frequent": "whether the label is in the means of this system; empty for an aggregate",
    "n_labels": "that an aggregate is over; empty for a label",
    "support": "videos for which it is true",
    "precision": "share of what was predicted that is true",
    "recall": "share of what is true that was predicted",
    "f1": "their harmonic mean",
    "lower": "of the 95 % interval of F1; empty: there is none",
    "upper": "of the 95 % interval of F1; empty: there is none",
    "precision_lower": "of the 95 % interval of precision; only movie and movie_micro have one",
    "precision_upper": "likewise",
    "recall_lower": "of the 95 % interval of recall; only movie and movie_micro have one",
    "recall_upper": "likewise",
    "why_none": "why there is no interval, in words",
    "average_precision": "of the scores before any threshold; empty: the system gives none",
    "brier": "mean squared error of the scores; empty as above",
    "ece": "expected calibration error of the scores; empty as above",
    "n_videos": "annotated",
    "n_scored": "annotated and with a result",
    "n_groups": "accounts of these",
}


def score_columns() -> tuple[Column, ...]:
    """The columns of an export of scores: an evaluation's recipe and time, and those of ScoreRow."""
    schema = arrow_schema(ScoreRow)
    named = [
        ("recipe", pa.string()),
        ("scored_at", TIME),
        *((name, schema.field(name).type) for name in schema.names),
    ]
    return tuple(Column(name, kind, _SCORE_ABOUT[name]) for name, kind in named)


def expanded(columns: Sequence[Column], slugs: Sequence[str]) -> list[Column]:
    """The columns with one for each value in the place of those that hold VALUE: all of one kind together."""
    return [
        found
        for column in columns
        for found in ([column.of_value(slug) for slug in slugs] if VALUE in column.name else [column])
    ]


def documented_schema(columns: Iterable[Column]) -> pa.Schema:
    """A schema whose fields say what they are, in their metadata."""
    return pa.schema([pa.field(name, kind, metadata={_ABOUT: about}) for name, kind, about in columns])


def documentation(schema: pa.Schema) -> list[tuple[str, str, str]]:
    """Name, type and meaning of each column of such a schema."""
    return [
        (field.name, str(field.type), (field.metadata or {}).get(_ABOUT, b"").decode()) for field in schema
    ]


def columns_table(columns: Iterable[Column]) -> str:
    """A table of the columns for a page."""
    lines = [f"| `{name}` | {kind} | {about} |" for name, kind, about in columns]
    return "\n".join(["| column | type | |", "| --- | --- | --- |", *lines]) + "\n"
