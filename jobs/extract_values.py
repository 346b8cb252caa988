"""Scripts -> values (the second of the two steps).

python -m jobs.extract_values configs/demo/predictions.yaml
ray job submit --working-dir . -- python -m jobs.extract_values configs/demo/predictions.yaml
"""

from functools import partial

from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, UserError, find
from tikval.extract.encoder import load_encoder
from tikval.extract.local import Load, LocalValues
from tikval.flow.data import run_stage
from tikval.flow.folder import Run
from tikval.flow.main import main
from tikval.rows import PredictionRow


def run(config: ExtractConfig, load: Load = load_encoder) -> Run:
    try:
        codebook = load_codebook(find(config.codebook))
    except ValueError as err:
        raise UserError(str(err)) from err
    stage = partial(LocalValues, config.system, codebook, config.extractor, load)
    scripts = config.scripts
    return run_stage(
        config, stage, source=scripts, catalog=scripts.videos, out=PredictionRow, pool=config.pool
    )


if __name__ == "__main__":
    main(ExtractConfig, run)
