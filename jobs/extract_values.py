"""Scripts -> values (the second of the two steps).

python -m jobs.extract_values configs/demo/predictions.yaml
ray job submit --working-dir . -- python -m jobs.extract_values configs/demo/predictions.yaml
"""

from functools import partial

from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, UserError, find
from tikval.extract.local import Load, LocalValues
from tikval.flow.data import Step, run_stage
from tikval.flow.folder import Run
from tikval.flow.main import main
from tikval.hub.sentences import load_encoder
from tikval.rows import PredictionRow, arrow_schema


def run(config: ExtractConfig, load: Load = load_encoder) -> Run:
    try:
        codebook = load_codebook(find(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    stage = partial(LocalValues, config.system, codebook, config.extractor, load)
    extract = Step(stage, arrow_schema(PredictionRow), config.pool)
    return run_stage(config, [extract], source=config.scripts, catalog=config.scripts.videos)


if __name__ == "__main__":
    main(ExtractConfig, run)
