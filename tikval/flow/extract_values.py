"""Scripts -> values (the second of the two steps), or videos -> values in one (direct extraction); on Ray Data."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from tikval.ask import video
from tikval.ask.prompts import fixed_prompt_of, turns_of
from tikval.ask.withheld import check_minors, withheld_videos
from tikval.codebook import Codebook, load_codebook
from tikval.config import CriticExtractor, ExtractConfig, LlmExtractor, LocalExtractor, UserError, find_file
from tikval.extract.calibration import why_not_calibrated
from tikval.extract.critic import AskAgain, ReadVerdicts, schema_of_row
from tikval.extract.llm import AskOfScript, ReadValues, several_samples, why_alike
from tikval.extract.local import Load, LocalValues, set_threshold
from tikval.flow.data import Stage, Step, run_stage
from tikval.flow.llm_steps import llm_steps
from tikval.hub.sentences import load_encoder
from tikval.prompt_text import reply_schema, verdicts_schema
from tikval.rows import PredictionRow, arrow_schema, sha256
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.keyed_rows import KeyedRows
from tikval.store.row_keys import contains
from tikval.study.estimate import estimate_once

# characters; Gemini's schemas know no such limit
MAX_NOTES: Final = {"vllm": 300, "endpoint": 300}
_MAX_WHY: Final = {"vllm": 150, "endpoint": 150}  # likewise


def extract_values(
    config: ExtractConfig, load: Load = load_encoder, only: np.ndarray | None = None
) -> FolderRun:
    """Bring the predictions of a system up to date; `only`: row keys, of the videos that it judges."""
    extractor = config.extractor
    try:
        codebook = load_codebook(find_file(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    if isinstance(extractor, LocalExtractor):
        return _by_similarity(config, extractor, codebook, load, only)
    if config.pool.actors is None:  # one waits for as many replies as are to be out
        config = config.model_copy(update={"pool": config.pool.model_copy(update={"actors": 1})})
    if isinstance(extractor, LlmExtractor):
        return _by_model(config, extractor, codebook, only)
    return _by_critic(config, extractor, codebook, only)


def _by_similarity(
    config: ExtractConfig,
    extractor: LocalExtractor,
    codebook: Codebook,
    load: Load,
    only: np.ndarray | None,
) -> FolderRun:
    stage = partial(LocalValues, config.system, codebook, extractor, load, config.folder)
    extract = Step(stage, arrow_schema(PredictionRow), config.pool)
    done = run_stage(
        config,
        [extract],
        source=config.source,
        catalog=config.catalog,
        # here and once, so that every actor decides by the same threshold
        check=lambda todo: set_threshold(config, extractor, codebook, load),
        only=only,
    )
    if why_not := why_not_calibrated(config):
        print(f"tikval: {config.system}: not calibrated for {codebook.name}: {why_not}", file=sys.stderr)
    return done


def _by_model(
    config: ExtractConfig, extractor: LlmExtractor, codebook: Codebook, only: np.ndarray | None
) -> FolderRun:
    prompt = fixed_prompt_of(config)
    turns = turns_of(config, prompt)
    llm, catalog = extractor.llm, Folder(config.catalog.folder)
    withheld = withheld_videos(catalog, llm, config.api)
    if why := why_alike(extractor):
        print(f"tikval: warning: {config.system}: {why}", file=sys.stderr)
    ask: Callable[[], Stage]
    if config.scripts:
        ask = partial(AskOfScript, turns.before, withheld, evidence=config.quotes_from is not None)
    else:
        video.check_recognisers(llm, extractor.look)
        ask = partial(video.Asking, llm, extractor.look, config.limits, turns.before, withheld)
    steps, context, ahead = llm_steps(
        config,
        llm,
        ask=ask,
        read=partial(ReadValues, config.system, codebook, extractor, sha256(prompt), config.quotes_from),
        prompt=prompt,
        system=turns.system,
        schema=reply_schema(codebook, MAX_NOTES.get(llm.kind), config.quotes_from)
        if extractor.enforce_schema
        else None,
        sample=extractor.sample,
        samples=several_samples(extractor, codebook, config.quotes_from),
        out=arrow_schema(PredictionRow),
        estimate=partial(estimate_once, config),
    )
    return run_stage(
        config,
        steps,
        source=config.source,
        catalog=config.catalog,
        check=lambda todo: check_minors(catalog, llm, config.api, todo),
        context=context,
        ahead=ahead,
        only=only,
    )


def _by_critic(
    config: ExtractConfig, extractor: CriticExtractor, codebook: Codebook, only: np.ndarray | None
) -> FolderRun:
    assert config.predictions is not None
    prompt = fixed_prompt_of(config)
    turns = turns_of(config, prompt)
    llm, catalog = extractor.llm, Folder(config.catalog.folder)
    posts = Folder((config.scripts or config.catalog).folder)
    withheld = withheld_videos(catalog, llm, config.api)
    columns = ["caption", "error", "detail", "script" if config.scripts else "account"]
    steps, context, ahead = llm_steps(
        config,
        llm,
        ask=partial(AskAgain, turns.before, codebook, withheld, lambda: KeyedRows(posts, columns).get),
        read=partial(ReadVerdicts, config.system, codebook, extractor, sha256(prompt)),
        prompt=prompt,
        system=turns.system,
        schema=verdicts_schema(codebook, _MAX_WHY.get(llm.kind)) if extractor.enforce_schema else None,
        schema_of=partial(schema_of_row, codebook, _MAX_WHY.get(llm.kind)),
        sample=extractor.sample,
        out=arrow_schema(PredictionRow),
        estimate=partial(estimate_once, config),
    )

    def check(todo: np.ndarray) -> None:
        if not contains(posts.sorted_keys(), todo).all():
            raise UserError(f"{posts.uri}: older than the catalog; run the job that writes it first")
        check_minors(catalog, llm, config.api, todo)

    return run_stage(
        config,
        steps,
        source=config.predictions,
        catalog=config.catalog,
        check=check,
        context=context,
        ahead=ahead,
        settings={posts.uri: posts.finished().state},
        only=only,
    )
