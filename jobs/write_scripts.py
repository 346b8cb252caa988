"""Videos -> scripts (the first of the two steps).

python -m jobs.write_scripts configs/demo/scripts.yaml
ray job submit --working-dir . -- python -m jobs.write_scripts configs/demo/scripts.yaml
"""

from functools import partial

from tikval.config import ScriptConfig
from tikval.flow.data import Step, run_stage
from tikval.flow.folder import Run
from tikval.flow.main import main
from tikval.rows import ScriptRow, arrow_schema
from tikval.script.local import LocalScripts, check


def run(config: ScriptConfig) -> Run:
    check(config.writer)
    write = Step(partial(LocalScripts, config.writer, config.limits), arrow_schema(ScriptRow), config.pool)
    return run_stage(config, [write], source=config.videos, catalog=config.videos)


if __name__ == "__main__":
    main(ScriptConfig, run)
