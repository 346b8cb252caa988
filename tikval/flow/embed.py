"""Videos -> vectors, as F-VideoMAE takes them (Appendix C.2); on Ray Data, in two actor pools."""

from collections.abc import Callable
from functools import partial

from tikval.config import EmbedConfig
from tikval.embed.duplicate_marks import mark_near_duplicates
from tikval.embed.plan import EmbeddingPlan, make_plan
from tikval.embed.reading import ClipReader, check_embedding
from tikval.flow.data import Stage, Step, run_stage
from tikval.rows import ClipRow, EmbeddingRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


def encoder(config: EmbedConfig, plan: EmbeddingPlan) -> Stage:
    from tikval.embed.fuse import ClipEncoder  # deferred: torch, which the driver can do without

    return ClipEncoder(config, plan)


def embed(
    config: EmbedConfig, make_encoder: Callable[[EmbedConfig, EmbeddingPlan], Stage] = encoder
) -> FolderRun:
    folder = Folder(config.folder)
    commits = folder.commits()
    plan = make_plan(config, commits)
    check_embedding(config, plan)
    folder.keep_commits(commits)
    places = plan.slices()
    vectors = arrow_schema(EmbeddingRow, vector=plan.width)
    read = Step(partial(ClipReader, config, plan), arrow_schema(ClipRow), config.read_pool)
    encode = Step(partial(make_encoder, config, plan), vectors, config.encode_pool)
    return run_stage(
        config,
        [read, encode],
        source=config.videos,
        catalog=config.videos,
        in_flight_mb=config.in_flight_mb,
        settings={"near_duplicate_cosine": str(config.near_duplicate_cosine)},
        finish=mark_near_duplicates(
            places.get("pictures"), places.get("sound"), config.near_duplicate_cosine
        ),
    )
