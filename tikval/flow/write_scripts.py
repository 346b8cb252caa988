"""Videos -> scripts (the first of the two steps), by what the machine has or by a model that watches; on Ray Data."""

from functools import partial

import numpy as np

from tikval.ask import video
from tikval.ask.prompts import fixed_prompt_of, turns_of
from tikval.ask.withheld import check_minors, withheld_videos
from tikval.config import LlmWriter, ScriptConfig
from tikval.flow.data import Step, run_stage
from tikval.flow.llm_steps import llm_steps
from tikval.rows import ScriptRow, arrow_schema, sha256
from tikval.script.llm import ReadScript
from tikval.script.local import LocalScripts, check_writer, has_videos
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.study.estimate import estimate_once


def write_scripts(config: ScriptConfig, only: np.ndarray | None = None) -> FolderRun:
    """Bring the scripts up to date; `only`: row keys, of the videos that get one."""
    writer = config.writer
    if isinstance(writer, LlmWriter):
        return _by_model(config, writer, only)
    if opens := has_videos(Folder(config.videos.folder)):
        check_writer(writer)
    make = partial(LocalScripts, writer, config.limits, opens=opens)
    write = Step(make, arrow_schema(ScriptRow), config.pool)
    return run_stage(config, [write], source=config.videos, catalog=config.videos, only=only)


def _by_model(config: ScriptConfig, writer: LlmWriter, only: np.ndarray | None) -> FolderRun:
    video.check_recognisers(writer.llm, writer.look)
    prompt = fixed_prompt_of(config)
    turns = turns_of(config, prompt)
    catalog = Folder(config.videos.folder)
    withheld = withheld_videos(catalog, writer.llm, config.api)
    steps, context, ahead = llm_steps(
        config,
        writer.llm,
        ask=partial(video.Asking, writer.llm, writer.look, config.limits, turns.before, withheld),
        read=partial(ReadScript, writer, sha256(prompt)),
        prompt=prompt,
        system=turns.system,
        schema=None,
        sample=writer.sample,
        out=arrow_schema(ScriptRow),
        estimate=partial(estimate_once, config),
    )
    return run_stage(
        config,
        steps,
        source=config.videos,
        catalog=config.videos,
        check=lambda todo: check_minors(catalog, writer.llm, config.api, todo),
        context=context,
        ahead=ahead,
        only=only,
    )
