"""Videos -> scripts (the first of the two steps).

python -m jobs.write_scripts configs/demo/scripts.yaml
ray job submit --working-dir . -- python -m jobs.write_scripts configs/demo/scripts.yaml
"""

from functools import partial

from tikval.config import ScriptConfig
from tikval.flow.data import run_stage
from tikval.flow.folder import Run
from tikval.flow.main import main
from tikval.rows import ScriptRow
from tikval.script.local import LocalScripts, check


def run(config: ScriptConfig) -> Run:
    check(config.writer)
    stage = partial(LocalScripts, config.writer, config.limits)
    videos = config.videos
    return run_stage(config, stage, source=videos, catalog=videos, out=ScriptRow, pool=config.pool)


if __name__ == "__main__":
    main(ScriptConfig, run)
