"""Distillation on Ray: the teacher answers the sample before the small system learns, and what it came to after."""

import numpy as np

from tikval.config import FinetuneConfig, TuneConfig, UserError
from tikval.evaluate.distilled import distilled_of
from tikval.extract.local import Load
from tikval.flow.extract_values import extract_values
from tikval.flow.write_scripts import write_scripts
from tikval.hub.sentences import load_encoder
from tikval.report.tables.distilled import show_distilled
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.store.teacher import TeacherAnswers, sample_keys, teacher_answers, usable_keys
from tikval.terminal import Terminal


def ask_teacher(config: TuneConfig | FinetuneConfig, load: Load = load_encoder) -> TeacherAnswers:
    """The teacher's answers to the sample, in its own folder: what is there is not asked, and paid, again.

    Raises UserError without a teacher, and where it answered nothing.
    """
    if config.teacher is None or config.sample is None:
        raise UserError(f"{config.system}: has no teacher")
    keys = usable_keys(Folder(config.source.folder), Folder(config.catalog.folder))
    sample: np.ndarray = sample_keys(keys, config.sample)
    theirs = config.teacher.scripts
    if theirs is not None and theirs.folder != config.source.folder:
        write_scripts(theirs, only=sample)
    extract_values(config.teacher, load, only=sample)
    answers = teacher_answers(Folder(config.teacher.folder), sample)
    if not len(answers.keys):
        reasons = (
            ", ".join(f"{reason} {n}" for reason, n in answers.failed.items()) or "no video to draw from"
        )
        raise UserError(f"{config.teacher.system}: no answer to learn from ({reasons})")
    return answers


def tell_distilled(config: TuneConfig, answers: TeacherAnswers) -> None:
    """Print what the distillation came to, and keep it in the small system's folder."""
    assert config.teacher is not None
    places = [config.catalog.folder, config.teacher.folder, config.folder]
    found = distilled_of(
        Study(config.out, places), config.system, answers, Folder(config.teacher.folder).finished()
    )
    found.write(Folder(config.folder))
    show_distilled(found, Terminal(stderr=True, width=120))
