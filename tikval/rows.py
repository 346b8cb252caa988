"""Row types: one per arrow of the data flow, the Parquet schema of each, and the reasons a row can fail.

    VideoRow -> ScriptRow | EmbeddingRow -> PredictionRow -> ScoreRow        LabelRow, AccountRow
    VideoRow | ScriptRow -> AskRow -> AnswerRow -> ScriptRow | PredictionRow  inside a job that asks a language model

Rows are TypedDicts because Ray Data hands out plain dicts: no conversion, and mypy still checks every key.
A row that failed keeps its `video_id`, states why in `error` (a Reason) and, human-readable, in `detail`; its
result columns are None. No stage may turn a failure into a stance.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final, TypedDict, get_type_hints

import pyarrow as pa


class Reason(StrEnum):
    """Why a row has no result. Terminal: trying again cannot help while the file is the same."""

    DUPLICATE_ID = "duplicate_id"  # an earlier row has this id
    INVALID_ID = "invalid_id"  # empty, too long or with control characters
    INVALID_ROW = "invalid_row"  # a line of a manifest that names no file, or a date that is none
    MISSING_FILE = "missing_file"
    NOT_A_FILE = "not_a_file"  # a directory or device named like a video
    PERMISSION_DENIED = "permission_denied"
    EMPTY_FILE = "empty_file"
    UNREADABLE = "unreadable"  # no demuxer or decoder can read it
    DAMAGED = "damaged"  # readable, but more of it is lost than the configuration allows
    NO_VIDEO = "no_video"  # sound only
    TOO_LONG = "too_long"  # in seconds, by configuration
    TOO_LARGE = "too_large"  # in pixels or bytes, by configuration
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"  # the decoding child died
    NO_SPACE = "no_space"  # the disk of the machine that read it is full
    NO_PROCESS = "no_process"  # that machine has no memory, process or open file left to start a child with
    NO_TEXT = "no_text"  # nothing was said or shown that a text system could judge
    NOT_STRIPPED = "not_stripped"  # it cannot be written anew without its metadata, so it is not sent
    BLOCKED = "blocked"  # a model refused the content
    REJECTED = "rejected"  # a model's server finds the request itself wrong
    TOO_MANY_TOKENS = "too_many_tokens"  # the prompt is longer than the model takes
    TRUNCATED = "truncated"  # a model's reply ended at its longest allowed length
    BAD_REPLY = "bad_reply"  # a model's reply does not parse
    WRONG_MODEL = "wrong_model"  # another model answered than the one asked for
    RATE_LIMITED = "rate_limited"  # the server kept replying 429
    SERVER_ERROR = "server_error"  # the server kept failing, or could not be reached
    OVER_BUDGET = "over_budget"  # the call was not made: it might have cost more than is left
    NOT_ASKED = "not_asked"  # the call was not made: the model's quota is used up, or it does not answer
    MINOR = "minor"  # the account features a minor, and the model is an outside one
    NO_SCORE = "no_score"  # settings that a sweep tried and that cannot be trained
    INTERNAL_ERROR = "internal_error"  # an exception in a stage: a bug in tikval

    @property
    def terminal(self) -> bool:
        return self not in _RETRYABLE


_RETRYABLE: Final = frozenset(
    {
        Reason.MISSING_FILE,
        Reason.PERMISSION_DENIED,
        Reason.TOO_LONG,  # the limits are configuration and not part of a recipe: raised, they let it pass
        Reason.TOO_LARGE,
        Reason.TIMEOUT,
        Reason.OUT_OF_MEMORY,
        Reason.CRASHED,
        Reason.NO_SPACE,
        Reason.NO_PROCESS,
        Reason.BAD_REPLY,
        Reason.WRONG_MODEL,
        Reason.RATE_LIMITED,
        Reason.SERVER_ERROR,
        Reason.OVER_BUDGET,
        Reason.NOT_ASKED,
        Reason.MINOR,  # so is whether a minor's video may be sent
        Reason.INTERNAL_ERROR,
    }
)


class VideoRow(TypedDict):
    video_id: str  # unique in a study: the post's id, the manifest's, or the file's path without its ending
    row_key: str  # 32 hex digits, see row_key()
    path: str  # file or object-store URI; of a photo post its first picture
    size_bytes: int  # of the file, or of all files of a photo post
    etag: str  # the store's etag, else the modification time in nanoseconds; of several files a hash over theirs
    account: str | None  # who posted it, as the source spells it
    genre: str | None  # of the account
    caption: str | None  # the post's own text
    posted_at: datetime | None  # UTC
    alias: str | None  # the address or name that the id was taken out of, or the id that it would have now
    is_minor: bool | None  # the account features a minor; None: nothing says so, or not
    files: (
        list[str] | None
    )  # of a photo post: its pictures in order, then its sound; None: `path` is all there is
    script: str | None  # that a manifest gives in the place of a file, which nobody opens then
    error: str | None  # a Reason; None: the row has its result
    detail: str | None  # the reason in words


class Outcome(StrEnum):
    """What became of a post that a source lists: whether its files are there, and why not."""

    COLLECTED = "collected"  # its files are there
    SOUND_REMOVED = "sound_removed"  # collected; the platform had taken its sound away
    NO_FILE = "no_file"  # nobody said why
    DELETED = "deleted"  # by who posted it, or by the platform
    PRIVATE = "private"  # the post or its account
    REGION = "region"  # not shown where the collector is
    AGE = "age"  # shown to those who log in and are old enough
    BLOCKED = "blocked"  # the platform refuses the collector
    TOO_LARGE = "too_large"  # larger or longer than the collector was allowed to fetch
    UNAVAILABLE = "unavailable"  # the platform says no more than that
    FAILED = "failed"  # the network or the collector: asked for again by the next run
    LIVE = "live"  # a live room, which is no video
    OTHER_PLATFORM = "other_platform"  # of none that is known here
    INVALID_ROW = "invalid_row"  # names no post

    @property
    def has_files(self) -> bool:
        return self in (Outcome.COLLECTED, Outcome.SOUND_REMOVED)


class PostRow(TypedDict):
    """What a source tells of a post, whether its files are there or not: a side table of the catalog."""

    video_id: str  # of a row that names no post `line 7`
    account: str | None  # who posted it
    url: str | None  # of the post
    caption: str | None  # the post's own text
    posted_at: datetime | None  # UTC
    posted_at_from_id: bool  # no source tells it: the upper bits of the id do
    pinned: bool | None  # to the top of its account's page; None: not known
    duration: float | None  # seconds
    is_ad: bool | None  # marked as paid for
    is_aigc: bool | None  # marked as made by a model
    is_slideshow: bool | None  # a photo post
    likes: int | None  # when it was collected, as the four below
    shares: int | None  # likewise
    comments: int | None  # likewise
    plays: int | None  # likewise
    saves: int | None  # likewise
    music: str | None  # title of its sound
    hashtags: list[str] | None  # without #
    collected_at: datetime | None  # UTC
    source: str  # the name of its map in configs/sources, data_donation, folder or manifest
    outcome: str  # an Outcome
    detail: str | None  # the outcome in words


class AccountRow(TypedDict):
    account: str  # its name
    genre: str | None  # one of prompts/genres.yaml, or a word of your own
    source: str | None  # how the account came into the sample: a survey, a model's list, ...
    is_minor: bool | None  # the account features a minor
    is_parent_run: bool | None  # ... and is run by a parent


class LabelRow(TypedDict):
    video_id: str
    account: str | None
    annotator: str  # whose labels these are
    label_set: str  # the codebook's, such as schwartz-19
    stances: list[int | None]  # [V] codes in the label set's order of values; None: nobody coded this value
    probability: float | None  # that this video was drawn to be annotated; None: not known


class ScriptRow(TypedDict):
    video_id: str
    row_key: str
    attempt: int  # 1 at first; a retryable failure is tried again as attempt + 1
    script: str | None  # None exactly when error is set
    caption: str | None  # the post's own text, without handles: part of what is judged
    seconds: float | None  # length of the video
    has_sound: bool | None  # the file has a track of sound
    language: str | None  # of most of the speech, where the recogniser is sure of it (ISO 639-1)
    language_probability: float | None  # of the likeliest, where the recogniser tells it
    translated: bool | None  # the script also has the recogniser's English, marked TRANSLATED
    lost_packets: int | None  # that could not be read or decoded
    # seconds from which, and up to which, each line of the script was heard or seen (script.splitlines());
    # None inside: a line without a time; None: nobody knows
    line_starts: list[float | None] | None
    line_ends: list[float | None] | None  # likewise
    content_sha: (
        str | None
    )  # SHA-256 of the file's bytes, or of several files' in turn, taken when they were read
    tokens_in: int | None  # of a language model
    tokens_out: int | None  # thinking included
    cost_usd: float | None  # of the paid calls
    ledger_key: str | None  # of the paid reply that this row was read from
    model: str  # asked for
    model_served: str | None  # that answered
    prompt_sha: str | None  # SHA-256 of the prompt; None: no prompt
    error: str | None
    detail: str | None


class AskRow(TypedDict):
    """What one call of a language model needs: on its way to the actors that hold the model, never on disk."""

    video_id: str
    row_key: str
    attempt: int
    # one user turn: the fixed prompt, unless the system says it, then the post as data; None: nothing is to be asked
    prompt: str | None
    video: str | None  # path or URI, for a model that takes videos
    files: list[str] | None  # of a photo post in its place: pictures in order, then the sound
    pictures: list[bytes] | None  # JPEG in order of time, for a model that takes pictures
    sounds: list[bytes] | None  # WAV, 16 kHz mono, of 30 s at most, in order of time: for one that also hears
    seconds: float | None  # length of the video that is sent
    has_sound: bool | None
    input_sha: str | None  # SHA-256 of what is judged, the prompt apart: the video's bytes or the texts
    carried: str  # JSON: what the last step needs of the row before
    error: str | None
    detail: str | None


class AnswerRow(TypedDict):
    """What a language model replied, not yet read."""

    video_id: str
    row_key: str
    attempt: int
    reply: str | None
    tokens_in: int | None
    tokens_cached: int | None  # those of tokens_in that the server had from an earlier call
    tokens_out: int | None  # thinking included
    cost_usd: float | None  # also of a failed row, where the call was paid
    ledger_key: str | None
    model_served: str | None
    carried: str
    samples: (
        str | None
    )  # JSON: the AnswerRow of each sample where a row is asked several times; then no reply
    error: str | None
    detail: str | None


class ClipRow(TypedDict):
    """What of a video an encoder sees: on its way from the actors that read to those that encode, never on disk."""

    video_id: str
    row_key: str
    attempt: int
    frames: bytes | None  # uint8 [T, H, W, 3] RGB; None: the pictures are not asked for, or the row failed
    sound: bytes | None  # int16 [S], 16 kHz mono; None: no sound, or not asked for
    text: str | None  # read in the pictures, without handles; None: nothing was read, or not asked for
    content_sha: str | None
    error: str | None
    detail: str | None


class EmbeddingRow(TypedDict):
    video_id: str
    row_key: str
    attempt: int
    vector: (
        list[float] | None
    )  # [D] pictures, sound, text one after another; those switched off have no place
    has_video: (
        bool | None
    )  # a modality that is missing is zeros in `vector` and False here; None: switched off
    has_sound: bool | None  # likewise
    has_text: bool | None  # likewise
    near_duplicates: int | None  # number of the group of videos that show the same; None: no other one does
    content_sha: str | None
    model: str
    model_served: str | None
    error: str | None
    detail: str | None


class DuplicateRow(TypedDict):
    """Two videos that show the same, or nearly: a side table of the embeddings."""

    video_id: str
    other_id: str  # the other one's
    near_duplicates: int  # number of their group
    same_file: bool  # byte for byte
    cosine: float  # of what was compared, centred and scaled over the corpus; 1 for the same file
    sound_cosine: float | None  # of the sound in the same way; None: one of them has none


class PassageSource(StrEnum):
    """Where in a post something stands."""

    SPEECH = "speech"
    ON_SCREEN = "on_screen"  # text that the picture shows
    ACTION = "action"  # a line of the script that describes what happens
    CAPTION = "caption"  # of the post
    PICTURE = "picture"  # what the picture shows at a time, without words


class Passage(TypedDict):
    """What in a post speaks for one stance, as a system gave it: three at most of each, the strongest first.

    A model's word is not believed: tikval/evaluate/evidence.py says which passages may be shown as quotes.
    """

    label: str  # `face+`
    source: str  # a PassageSource: of what was found in the script, or as the model named it
    quote: (
        str | None
    )  # without handles, spelt as in the script where it was found there; of a picture what it shows
    start: float | None  # seconds; None: not known
    end: float | None  # likewise
    weight: float | None  # how far the label's score falls without it; None: the system gives none
    in_script: bool | None  # the quote stands in the script or the caption; None: there was none to look in


class AnsweredBy(StrEnum):
    """Which system of a cascade a prediction is from."""

    CHEAP = "cheap"
    STRONG = "strong"
    CHEAP_INSTEAD = "cheap_instead"  # the strong one was to be asked, and cannot or may not judge this video


class SampledRow(TypedDict):
    """One video of the random sample that both systems of a cascade judge: a side table of its predictions."""

    video_id: str
    row_key: str
    held_out: bool  # tests what was promised; the others are what it was planned on


class PredictionRow(TypedDict):
    """Unique by video_id, system, split, fold, seed and sample."""

    video_id: str
    row_key: str
    attempt: int
    system: str  # the name that it has in every table
    label_set: str  # the codebook's, such as schwartz-19
    split: str | None  # of a trained system
    fold: int | None  # in which this video was held out, of a trained system
    seed: int | None  # of its training
    sample: int | None  # of a sampled reply
    decisions: list[bool | None] | None  # [L]; a null inside: this system does not model that label
    scores: list[float | None] | None  # [L]; None: the system gives none
    stances: list[int] | None  # [V] Stance codes as a language model gave them, dominance among them
    abstained: bool | None  # the system found nothing to judge: all decisions are False
    votes: (
        int | None
    )  # samples that gave a valid reply; None: asked once, no language model, or of an earlier version
    agreement: float | None  # of these samples with each other, 0 to 1: extract/votes.py
    has_sound: bool | None  # as an LLM saw it (Figure 6)
    language: str | None  # of the speech in the script that was judged; None: not known, or no script
    translated: bool | None  # the recogniser's English of that speech was judged
    notes: str | None  # what a language model added in words
    evidence: list[Passage] | None  # None: the system gives none, or was not asked, or of an earlier version
    answered_by: (
        str | None
    )  # of a cascade which of its two systems, an AnsweredBy; None: no cascade, or a failure
    tokens_in: int | None  # of several samples the sum, as the two below
    tokens_out: int | None
    cost_usd: float | None
    ledger_key: str | None  # of several samples each one's, with blanks between
    model: str
    model_served: str | None
    prompt_sha: str | None
    error: str | None
    detail: str | None


class FaithfulnessRow(TypedDict):
    """One script against what a recogniser heard and Tesseract read in its video."""

    video_id: str
    row_key: str
    words_said: int | None  # heard by the recogniser
    said_share: float | None  # of them that the script has, in order; None: nothing was heard
    words_shown: int | None  # of captions, read by Tesseract
    shown_share: float | None  # of them that the script has; None: nothing was read
    quotes: int | None  # quoted lines of the script
    unheard: list[str] | None  # those that nobody said, as far as was heard
    error: str | None
    detail: str | None


class DeletionRow(TypedDict):
    """One label of one video, judged again without what was given as its evidence: unique by these and `control`."""

    video_id: str
    row_key: str
    account: str | None
    label: str  # `face+`
    control: int | None  # which of the controls was cut in its place; None: the evidence itself
    words: int | None  # that were cut
    kept: bool | None  # the label is still there
    score: float | None  # of the label then; None: the system gives none
    error: str | None
    detail: str | None


class ClaimRow(TypedDict):
    """What was found of one claim at one look."""

    family: str  # the name of its file
    claim: str  # its name in the file
    sentence: str  # the claim in words
    label: str  # `face+`
    verdict: str  # a Verdict
    why: str  # the verdict's reason, in words
    declared_at: datetime | None  # UTC; None: exploratory
    declared_sha: str | None  # SHA-256 of the declared file
    look: int  # from 1
    alpha: float  # that this look may spend
    system: str | None  # whose corrected rates decided
    estimate: float | None  # corrected; shares between 0 and 1, a difference between -1 and 1
    lower: float | None  # of its 95 % interval
    upper: float | None  # likewise
    p: float | None  # of the claim alone
    p_holm: float | None  # over the declared family
    accounts_a: int  # of the group
    accounts_b: int | None  # of the group that it is compared with
    labelled: int  # videos that people coded
    more_labels: int | None  # that would be needed, where more would help


class ClaimWayRow(TypedDict):
    """One claim measured in one way: with one system, corrected or raw, or by the annotators alone."""

    family: str  # the name of its file
    claim: str  # its name in the file
    way: str  # corrected, raw or annotated
    system: str | None  # whose predictions; None: the annotators alone
    prompt_sha: str | None  # SHA-256 of its prompt
    sample: int | None  # of a sampled reply
    seed: int | None  # of a trained system
    estimate: float | None  # as of ClaimRow, also the four below
    lower: float | None  # likewise
    upper: float | None  # likewise
    p: float | None  # likewise
    agrees: bool | None  # with the claim; None: nothing is shown either way
    accounts_a: int  # of the group
    accounts_b: int | None  # of the other
    videos_a: int  # of the group
    videos_b: int | None  # of the other
    labelled_a: int  # of the group
    labelled_b: int | None  # of the other
    why_none: str | None  # why there is no number, or no interval


class ScoreRow(TypedDict):
    """One line of a table of scores.

    `label` is a label (`face+`) or an aggregate (`macro`, `weighted`, `movie`, `movie_micro`), `stance` is endorsed,
    confronted or all, `failures` names how failed videos were counted: left_out, wrong or right.
    """

    system: str
    label_set: str
    failures: str  # left_out, wrong or right
    stance: str  # endorsed, confronted or all
    label: str  # a label or an aggregate
    frequent: bool | None  # the label is in this system's means; None for an aggregate
    n_labels: int | None  # that an aggregate is over; None for a label
    support: int  # annotated videos with the label
    precision: float | None  # of the label, or the aggregate's
    recall: float | None  # likewise
    f1: float | None  # likewise
    lower: float | None  # of the 95 % interval of F1; None: `why_none`
    upper: float | None  # likewise
    precision_lower: (
        float | None
    )  # of that of precision and of recall, which only `movie` and `movie_micro` have
    precision_upper: float | None  # likewise
    recall_lower: float | None  # likewise
    recall_upper: float | None  # likewise
    why_none: str | None  # why there is no interval, in words; None: there is one
    average_precision: (
        float | None
    )  # of the scores before any threshold, as the two below; None: there are none
    brier: float | None  # mean squared error of the scores
    ece: float | None  # expected calibration error
    n_videos: int  # annotated
    n_scored: int  # annotated and with a result
    n_groups: int | None  # accounts of these


class ComparisonRow(TypedDict):
    """Two systems on the videos that both judged, over the labels that both model: a side table of the scores."""

    system_a: str  # one system
    system_b: str  # the other
    metric: str  # macro_f1 or weighted_f1
    difference: float | None  # a - b; None: no video that both judged, or nothing to average
    lower: float | None  # of its 95 % interval
    upper: float | None  # likewise
    why_none: str | None  # why there is no interval, in words; None: there is one
    p: float | None  # two-sided, of the same t as the interval; None where there is none
    p_holm: float | None  # corrected for all comparisons of the table, whatever their metric
    p_exchangeable: (
        float | None
    )  # two-sided, that the two are exchangeable within accounts; 2 / 2^n_groups at least
    n_videos: int  # that both judged
    n_groups: int  # accounts
    n_labels: int  # that both model


class SliceRow(TypedDict):
    """F1 in a part of the videos, or how far it drops from one stance to the other: a side table of the scores.

    `by` is genre (the videos of `slice`), without_genre (all others), difference (without_genre - genre) or drop
    (`slice`: endorsed - confronted).
    """

    system: str
    by: str  # genre, without_genre, difference or drop
    slice: str  # the genre; of a drop `endorsed - confronted`
    metric: (
        str  # of a drop macro_f1 or weighted_f1, else common_f1: the macro F1 at the prevalence of all videos
    )
    value: float | None  # of the metric
    lower: float | None  # of its 95 % interval
    upper: float | None  # likewise
    why_none: str | None  # why there is no interval, or no value either, in words; None: there is an interval
    baseline: float | None  # what saying everything scores there; None for a difference
    n_labels: int | None  # that the value is over
    labels: list[str] | None  # these
    n_videos: int  # with a result
    n_groups: int  # accounts


def row_key(video_id: str, size_bytes: int, etag: str) -> str:
    """128-bit identity of one state of one video: a replaced file gets another key and is computed anew."""
    text = "\0".join((video_id, str(size_bytes), etag))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def sha256(text: str) -> str:
    """64 hex digits of a text that may hold lone surrogates."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_PASSAGE: Final = pa.struct(
    [
        ("label", pa.string()),
        ("source", pa.string()),
        ("quote", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("weight", pa.float64()),
        ("in_script", pa.bool_()),
    ]
)
_ARROW: Final = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
    list[int]: pa.list_(pa.int8()),
    list[int | None]: pa.list_(pa.int8()),
    list[float]: pa.list_(pa.float32()),
    list[bool | None]: pa.list_(pa.bool_()),
    list[float | None]: pa.list_(pa.float32()),
    bytes: pa.binary(),
    list[str]: pa.list_(pa.string()),
    list[bytes]: pa.list_(pa.binary()),
    list[Passage]: pa.list_(_PASSAGE),
}
_ARROW_OPTIONAL: Final = {hint | None: arrow for hint, arrow in _ARROW.items()}


def arrow_schema(row_type: type, **widths: int) -> pa.Schema:
    """Parquet schema of a row type; columns that must have a value are not nullable.

    `widths` names list columns whose lists all have this many items.
    """
    fields = []
    for name, hint in get_type_hints(row_type).items():
        optional = hint in _ARROW_OPTIONAL
        arrow = (_ARROW_OPTIONAL if optional else _ARROW)[hint]
        arrow = pa.list_(arrow.value_type, widths[name]) if name in widths else arrow
        fields.append(pa.field(name, arrow, nullable=optional))
    return pa.schema(fields)
