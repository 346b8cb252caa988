"""The deletion test's material: posts without a label's evidence, or without as much of other text, to be judged again.

They lie in the test's own folder as a study does, a catalog and scripts, so that the ordinary stages judge them, with
their budget and their ledger. A made post has the id of its video, so that an erasure finds it, and a row key of its
own that follows from its text: what was judged once is not judged again.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import load_codebook
from tikval.config import ExplainConfig, ExtractConfig, PredictConfig, UserError, find_file
from tikval.evaluate.faithfulness_sample import in_random_order, rows_of_keys
from tikval.extract.calibration import keep_calibration, kept_calibration
from tikval.files import delete, list_files
from tikval.rows import AccountRow, DeletionRow, ScriptRow, VideoRow, arrow_schema
from tikval.script_text import Piece, without_pieces
from tikval.stats.deletion import deletion_gap
from tikval.stats.limits import counted
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.row_keys import contains, keys_of
from tikval.study.deletion_cuts import control_pieces, evidence_pieces, n_words
from tikval.study.prompt_trial import write_as_named
from tikval.terminal import Terminal

_PAID: Final = (
    "tokens_in",
    "tokens_out",
    "cost_usd",
    "ledger_key",
)  # of the whole script, which is not made anew
_PLACES: Final = ("line_starts", "line_ends")  # of lines that have moved


class MadeCut(NamedTuple):
    """A post of which something was cut out for the sake of one label."""

    video: VideoRow
    label: str
    control: int | None
    words: int
    made_key: str  # row key of the made post


class DeletionTrial(NamedTuple):
    system: ExtractConfig | PredictConfig  # the same recipe, over what was made
    cuts: list[MadeCut]


def sources_of(config: ExplainConfig) -> dict[str, str]:
    """Each folder that the test reads, and its state. Raises UserError where one is not finished."""
    places = (config.catalog.folder, config.scripts.folder, config.predictions.folder)
    return {uri: Folder(uri).finished().state for uri in places}


def prepare_deletions(config: ExplainConfig) -> DeletionTrial:
    """Draw the videos, and write the made catalog and scripts. Raises UserError where there is no evidence to cut."""
    keys = _drawn(config)
    catalog = Folder(config.catalog.folder)
    columns = ["row_key", "decisions", "evidence"]
    predictions = rows_of_keys(Folder(config.predictions.folder), keys, columns)
    scripts = rows_of_keys(Folder(config.scripts.folder), keys, list(ScriptRow.__annotations__))
    videos = rows_of_keys(catalog, keys, list(VideoRow.__annotations__))
    labels = load_codebook(find_file(config.predictions.codebook)).labels
    cuts, made = list[MadeCut](), dict[str, tuple[VideoRow, ScriptRow]]()
    for key in keys:
        row, script = predictions[key], scripts[key]
        decided = [label for label, yes in zip(labels, row["decisions"], strict=True) if yes]
        for label, control, pieces in _pieces_to_cut(config, row["evidence"], decided, script):
            text, caption = without_pieces(script["script"], script["caption"], pieces)
            made_key = hashlib.blake2b(repr((key, text, caption)).encode(), digest_size=16).hexdigest()
            empty = dict.fromkeys((*_PAID, *_PLACES))
            changed: Any = {**script, **empty, "script": text, "caption": caption, "row_key": made_key}
            listed: Any = {**videos[key], "row_key": made_key}
            made[made_key] = listed, changed
            cuts.append(MadeCut(videos[key], label, control, n_words(pieces), made_key))
    if not cuts:
        raise UserError(
            f"{config.predictions.folder}: none of its evidence stands in a script, so there is nothing to cut"
        )
    return DeletionTrial(_write_made(config, catalog, [made[key] for key in sorted(made)]), cuts)


def _drawn(config: ExplainConfig) -> list[str]:
    """Row keys of the sample, in random order: of listed videos with a result that has evidence."""
    listed = Folder(config.catalog.folder).sorted_keys()

    def candidates() -> Iterator[tuple[bytes, str]]:
        for table in Folder(config.predictions.folder).tables(["row_key", "video_id", "error", "evidence"]):
            has_some = pc.greater(pc.fill_null(pc.list_value_length(table["evidence"]), 0), 0)
            table = table.filter(pc.and_(has_some, pc.is_null(table["error"])))
            table = table.filter(pa.array(contains(listed, keys_of(table["row_key"]))))
            for row in table.select(["row_key", "video_id"]).to_pylist():
                yield in_random_order(str(config.seed), row["video_id"]), row["row_key"]

    if drawn := heapq.nsmallest(config.sample, candidates()):
        return [key for _, key in drawn]
    raise UserError(
        f"{config.predictions.folder}: {config.predictions.system} gives no evidence; run it with evidence first "
        "(a language model: tikval analyze --evidence; a trained system: evidence: true; the local one, which an "
        "earlier version ran: the analysis into another folder)"
    )


def _pieces_to_cut(
    config: ExplainConfig, evidence: Sequence[Any], decided: Sequence[str], row: ScriptRow
) -> Iterator[tuple[str, int | None, Sequence[Piece]]]:
    """Yield each decided label whose evidence stands in the post, which control it is, and what is cut."""
    script, caption = row["script"] or "", row["caption"]
    for label in decided:
        cut = evidence_pieces(evidence, label, script, caption)
        if not cut:
            continue
        seed = f"{config.seed} {row['row_key']} {label}"
        yield label, None, cut
        for n, control in enumerate(control_pieces(cut, script, caption, config.controls, seed)):
            yield label, n, control


def _write_made(
    config: ExplainConfig, catalog: Folder, made: Sequence[tuple[VideoRow, ScriptRow]]
) -> ExtractConfig | PredictConfig:
    """Write what is judged again; returns the system over it."""
    videos = config.catalog.model_copy(update={"out": config.folder})
    scripts = config.scripts.model_copy(update={"out": config.folder, "videos": videos})
    update: dict[str, Any] = {"out": config.folder, "scripts": scripts}
    system = config.predictions
    if isinstance(system, PredictConfig):
        again: ExtractConfig | PredictConfig = system.model_copy(update={**update, "evidence": False})
    else:
        again = system.model_copy(update={**update, "budget_usd": config.budget_usd})
        if (threshold := kept_calibration(system.folder)) is not None:
            keep_calibration(again.folder, threshold)
    accounts = {video["account"] for video, _ in made}
    about = [row for row in catalog.read_side_table("accounts") if row["account"] in accounts]
    _write_stage(videos, VideoRow, [video for video, _ in made], accounts=about)
    _write_stage(scripts, ScriptRow, [script for _, script in made])
    return again


def _write_stage(job: Any, row_type: type, rows: list[Any], accounts: list[AccountRow] | None = None) -> None:
    folder = Folder(job.folder)
    with folder.lock():
        files = [write_as_named(folder, "data", pa.Table.from_pylist(rows, schema=arrow_schema(row_type)))]
        side_tables = {}
        if accounts is not None:
            table = pa.Table.from_pylist(accounts, schema=arrow_schema(AccountRow))
            side_tables["accounts"] = write_as_named(folder, "_accounts", table)
        folder.write_run(job, files, {}, len(rows), {}, 0.0, side_tables)
        _delete_others(folder, {*files, *side_tables.values()})


def write_deletions(
    config: ExplainConfig, trial: DeletionTrial, inputs: dict[str, str], seconds: float
) -> FolderRun:
    """Write what became of each label, out of the answers to what was made."""
    columns = ["row_key", "decisions", "scores", "error", "detail"]
    answers = rows_of_keys(Folder(trial.system.folder), sorted({cut.made_key for cut in trial.cuts}), columns)
    labels = load_codebook(find_file(config.predictions.codebook)).labels
    rows = [_row(cut, answers[cut.made_key], labels.index(cut.label)) for cut in trial.cuts]
    folder = Folder(config.folder)
    table = pa.Table.from_pylist(rows, schema=arrow_schema(DeletionRow))
    name = write_as_named(folder, "data", table)
    failed = Counter(row["error"] for row in rows if row["error"] is not None)
    done = folder.write_run(config, [name], inputs, len(rows), dict(failed), seconds)
    _delete_others(folder, {name})
    return done


def _row(cut: MadeCut, answer: Any, at: int) -> DeletionRow:
    decided, scores = answer["decisions"], answer["scores"]
    return DeletionRow(
        video_id=cut.video["video_id"],
        row_key=cut.video["row_key"],
        account=cut.video["account"],
        label=cut.label,
        control=cut.control,
        words=cut.words,
        kept=None if decided is None else decided[at],
        score=None if scores is None else scores[at],
        error=answer["error"],
        detail=answer["detail"],
    )


def _delete_others(folder: Folder, files: set[str]) -> None:
    """Delete the tables of an earlier run."""
    for name in set(list_files(folder.uri, ".parquet", include_side_tables=True)) - files:
        delete(f"{folder.uri}/{name}")


def print_deletions(rows: Sequence[DeletionRow]) -> None:
    """Print how often labels went without their evidence, and without the controls."""
    found, console = deletion_gap(rows), Terminal()
    if found.gap is None or found.evidence is None or found.controls is None:
        console.print(
            "deletions: no label could be judged again both without its evidence and without a control"
        )
    else:
        low, high, why, _ = found.interval
        span = f"95 % interval {low:.2f} to {high:.2f}" if low is not None and high is not None else why
        console.print(
            f"deletions: without its evidence a label is gone in {found.evidence:.2f} of {found.labels} labels of "
            f"{found.videos} videos by {counted(found.accounts, 'account')}, without as much of other text in "
            f"{found.controls:.2f}; gap {found.gap:.2f}, {span}"
        )
    console.print(
        f"{found.without_control} without a control (nothing else to cut), {found.failed} not judged again"
    )
