"""The deletion test, on Ray Data: what a system's labels become without their evidence, by the system itself."""

import time

from tikval.config import ExplainConfig, PredictConfig
from tikval.extract.local import Load
from tikval.flow.extract_values import extract_values
from tikval.flow.predict import predict
from tikval.hub.sentences import load_encoder
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.study.deletion_trial import prepare_deletions, print_deletions, sources_of, write_deletions


def explain(config: ExplainConfig, load: Load = load_encoder) -> FolderRun:
    """Bring the test's folder up to date with the system's, print its numbers, and return what run.json says."""
    folder, begin = Folder(config.folder), time.monotonic()
    with folder.lock():
        inputs, done = sources_of(config), folder.run()
        if done is None or done.inputs != inputs or done.retryable:
            trial = prepare_deletions(config)
            again = trial.system
            if isinstance(again, PredictConfig):
                predict(again)
            else:
                extract_values(again, load)
            done = write_deletions(config, trial, inputs, time.monotonic() - begin)
        print_deletions(folder.read().to_pylist())
    return done
