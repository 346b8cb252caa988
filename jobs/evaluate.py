"""Predictions and annotations -> scores.

python -m jobs.evaluate configs/demo/scores.yaml
ray job submit --working-dir . -- python -m jobs.evaluate configs/demo/scores.yaml
"""

import secrets
import time

import pyarrow as pa

from tikval.codebook import load_codebook
from tikval.config import CombineConfig, EvaluateConfig, FinetuneConfig, UserError, find
from tikval.evaluate.scores import predict_everything, score_system, score_trained
from tikval.files import delete, list_files, write_table
from tikval.flow.folder import Folder, Run
from tikval.flow.main import main
from tikval.rows import Reason, ScoreRow, arrow_schema


def run(config: EvaluateConfig) -> Run:
    """Score every system on the annotated videos of the catalog; without annotations the table is empty."""
    folder, catalog, begin = Folder(config.folder), Folder(config.catalog.folder), time.monotonic()
    recipes = {system.system: system for system in config.predictions}
    upstream = {system.system: Folder(system.folder) for system in config.predictions}
    if len(upstream) != len(config.predictions):
        raise UserError("predictions: two systems have the same name; give each its own `system`")
    with folder.lock():
        inputs = {source.uri: source.finished().state for source in (catalog, *upstream.values())}
        before = folder.run()
        if before and before.inputs == inputs:
            return before
        listed = set(catalog.read(["video_id"])["video_id"].to_pylist())
        truth = [row for row in catalog.read_beside("labels") if row["video_id"] in listed]
        try:
            labels = load_codebook(find(config.predictions[0].codebook)).labels
            scores = predict_everything(truth, labels, config.min_share, config.annotator)
            for system, source in upstream.items():
                rows = [row for row in source.rows(catalog) if row["error"] != Reason.DUPLICATE_ID]
                recipe = recipes[system]
                first = recipe.trained_systems[0] if isinstance(recipe, CombineConfig) else recipe
                if isinstance(first, FinetuneConfig):
                    by_fold = first.protocol.name == "paper"
                    scores += score_trained(
                        rows, truth, labels, config.min_share, system, config.annotator, by_fold=by_fold
                    )
                    continue
                scores += score_system(rows, truth, labels, config.min_share, system, config.annotator)
        except ValueError as err:
            raise UserError(str(err)) from err
        old = list_files(folder.uri, ".parquet")
        name = f"data-{secrets.token_hex(8)}.parquet"
        write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(scores, schema=arrow_schema(ScoreRow)))
        done = folder.write_run(config, [name], inputs, len(scores), {}, time.monotonic() - begin)
        for file in old:
            delete(f"{folder.uri}/{file}")
        return done


if __name__ == "__main__":
    main(EvaluateConfig, run)
