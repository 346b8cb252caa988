"""Everything before it -> a site to look at: open its index.html.

python -m jobs.report configs/demo/report.yaml
ray job submit --working-dir . -- python -m jobs.report configs/demo/report.yaml
"""

import time

from tikval.cli.job import main
from tikval.codebook import load_codebook
from tikval.config import ReportConfig, UserError, find_file
from tikval.report.site.facts import scripts_of
from tikval.report.site.gather import gather, write_site
from tikval.store.folder import Folder, FolderRun


def run(config: ReportConfig) -> FolderRun:
    """Write the site into the report's folder. Raises UserError where a stage before it has not finished."""
    folder, begin = Folder(config.folder), time.monotonic()
    systems = config.scores.predictions
    folders = [*(recipe.folder for recipe in scripts_of(config).values()), *(each.folder for each in systems)]
    upstream = [config.scores.catalog.folder, *folders, config.scores.folder]
    with folder.lock():
        inputs = {uri: Folder(uri).finished().state for uri in upstream}
        before = folder.run()
        if before and before.inputs == inputs:
            return before
        try:
            codebook = load_codebook(find_file(systems[0].codebook))
        except ValueError as err:
            raise UserError(str(err)) from err
        report, drawn = gather(config, codebook)
        write_site(folder, report, drawn)
        return folder.write_run(config, [], inputs, report.n_videos or 0, {}, time.monotonic() - begin)


if __name__ == "__main__":
    main(ReportConfig, run)
