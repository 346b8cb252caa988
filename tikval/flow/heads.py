"""Heads on sentence vectors: learnt on the driver from labelled videos, applied to all scripts in Ray Data actors."""

from functools import partial

from tikval.codebook import Codebook, load_codebook
from tikval.config import TuneConfig, UserError, find_file
from tikval.extract.labelled import LabelledVideos, annotated_videos, taught_videos
from tikval.extract.local import Load, LocalValues, set_threshold
from tikval.extract.tuned import (
    TunedValues,
    known_state,
    known_vectors,
    labelled_file,
    learn_heads,
    read_vectors,
)
from tikval.flow.data import Step, run_stage
from tikval.flow.distill import ask_teacher, tell_distilled
from tikval.hub.sentences import load_encoder
from tikval.rows import PredictionRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.progress import StageProgress


def tune_heads(config: TuneConfig, load: Load = load_encoder) -> FolderRun:
    """Bring a tuned system up to date: with other labels, or other scripts of theirs, all is learnt and judged anew."""
    try:
        codebook = load_codebook(find_file(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    answers = ask_teacher(config, load) if config.teacher else None
    videos = annotated_videos(config, codebook) if answers is None else taught_videos(config, answers)
    if known_state(config.folder) != videos.state:
        _learn_anew(config, codebook, videos, load)
    judge = Step(
        partial(TunedValues, config, codebook, config.folder, load), arrow_schema(PredictionRow), config.pool
    )
    run = run_stage(
        config,
        [judge],
        source=config.source,
        catalog=config.catalog,
        settings={f"{config.folder}/heads.json": videos.state},
        finish=_with_labelled,
    )
    if answers is not None:
        tell_distilled(config, answers)
    return run


def _learn_anew(config: TuneConfig, codebook: Codebook, videos: LabelledVideos, load: Load) -> None:
    """Fit heads in place of those that are there, whose predictions are no rows of these; vectors are read once."""
    folder = Folder(config.folder)
    with folder.lock():
        known = known_vectors(folder.uri)
        folder.remove()
        set_threshold(config, config.base, codebook, load)
        values = LocalValues(config.system, codebook, config.base, load, folder.uri)
        state = videos.state
        with StageProgress(f"{config.stage}: labelled", len(videos.rows), 0, folder.uri) as progress:
            videos, found = read_vectors(values, videos, known, lambda: progress.advance(1, {}))
        learn_heads(config, codebook.labels, videos, found, float(values.threshold), state)


def _with_labelled(folder: Folder, files: list[str]) -> tuple[list[str], dict[str, str]]:
    name = labelled_file(folder.uri)
    return files, {"labelled": name} if name else {}
