"""One job from its command line: `python -m jobs.NAME CONFIG.yaml [key=value ...]`, or `tikval job NAME ...`."""

import importlib
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tikval.cli.guard import FAILED, guard
from tikval.config import (
    CascadeConfig,
    CatalogConfig,
    CombineConfig,
    EmbedConfig,
    EvaluateConfig,
    ExplainConfig,
    ExtractConfig,
    FaithfulnessConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    PretrainConfig,
    ReportConfig,
    ScriptConfig,
    SweepConfig,
    TuneConfig,
    UserError,
    nested,
)
from tikval.config.report import Asked
from tikval.files import without_secrets
from tikval.report.model_change import model_change
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.recipes import load_job
from tikval.store.runs import SystemConfig
from tikval.terminal import escape_output

DRY_RUN: Final = "--dry-run"


class Job(NamedTuple):
    """One arrow of the data flow. Functions are named and imported when they run: each pulls its models' libraries."""

    config: type[JobConfig]
    call: str  # module:function, from a configuration to its FolderRun
    show_plan: str | None = None  # for --dry-run; such a job trains, and takes several configurations
    together: bool = False  # several configurations in one call: a list to a list


JOBS: Final = {
    "catalog": Job(CatalogConfig, "tikval.sources.write_catalog:write_catalog"),
    "write_scripts": Job(ScriptConfig, "tikval.flow.write_scripts:write_scripts"),
    "embed": Job(EmbedConfig, "tikval.flow.embed:embed"),
    "extract_values": Job(ExtractConfig, "tikval.flow.extract_values:extract_values"),
    "pretrain": Job(
        PretrainConfig, "tikval.flow.pretrain:pretrain_encoders", "tikval.flow.pretrain:show_pretrain_plan"
    ),
    "finetune": Job(
        FinetuneConfig,
        "tikval.flow.finetune:finetune_systems",
        "tikval.flow.finetune:show_finetune_plan",
        True,
    ),
    "sweep": Job(SweepConfig, "tikval.flow.sweep:run_sweep", "tikval.flow.sweep:show_sweep_plan"),
    "predict": Job(PredictConfig, "tikval.flow.predict:predict"),
    "combine": Job(CombineConfig, "tikval.finetune.combine_systems:combine_systems"),
    "tune": Job(TuneConfig, "tikval.flow.heads:tune_heads"),
    "cascade": Job(CascadeConfig, "tikval.flow.cascade:cascade"),
    "faithfulness": Job(FaithfulnessConfig, "tikval.annotate.script_ratings:check_faithfulness"),
    "explain": Job(ExplainConfig, "tikval.flow.explain:explain"),
    "evaluate": Job(EvaluateConfig, "tikval.evaluate.score_systems:score_systems"),
    "report": Job(ReportConfig, "tikval.report.site.write:write_report"),
}


def run_job(name: str) -> None:
    """The main function of jobs/NAME.py: exits with 0, 1 when too many rows failed, 2 for a mistake of the user."""
    escape_output()
    sys.exit(guard(lambda: job_command(name, sys.argv[1:])))


def job_command(name: str, words: Sequence[str]) -> int:
    """Run one job with the words of its command line; returns the exit code. Raises UserError."""
    if name not in JOBS:
        raise UserError(f"{name}: no such job; there are {', '.join(JOBS)}")
    job = JOBS[name]
    overrides = [word for word in words if "=" in word]
    files = [word for word in words if "=" not in word and word != DRY_RUN]
    if job.show_plan is None and (len(files) != 1 or DRY_RUN in words):
        raise UserError(f"usage: python -m jobs.{name} CONFIG.yaml [key=value ...] (a {job.config.__name__})")
    if not files:
        raise UserError(f"usage: python -m jobs.{name} CONFIG.yaml ... [key=value ...] [{DRY_RUN}]")
    configs = [_asked(load_job(job.config, file, overrides), file, overrides) for file in files]
    if len({config.folder for config in configs}) < len(configs):
        raise UserError("two of the configurations are the same recipe")
    if DRY_RUN in words:
        for config in configs:
            _imported(str(job.show_plan))(config)
        return 0
    failed = False
    for config, done in zip(configs, _run(job, configs), strict=True):
        print(summary(config, done))
        note_asked(each for _, each in nested(config))
        failed = failed or too_many_failed(config, done)
    return FAILED if failed else 0


def run_config(config: JobConfig) -> FolderRun:
    """The job of a configuration, whichever kind it is of."""
    job = next(job for job in JOBS.values() if type(config) is job.config)
    return next(_run(job, [config]))


def _asked(config: JobConfig, file: str, overrides: Sequence[str]) -> JobConfig:
    """A report's configuration with the command that makes it with everything before it."""
    if not isinstance(config, ReportConfig):
        return config
    words = ["tikval", "run", file, *overrides]
    return config.model_copy(update={"asked": Asked(command=shlex.join(map(without_secrets, words)))})


def note_asked(jobs: Iterable[JobConfig]) -> None:
    """Note that systems, scores and reports were asked for: of several recipes the last one asked for is current."""
    for each in jobs:
        if isinstance(each, SystemConfig | EvaluateConfig | ReportConfig):
            Folder(each.folder).ask()


def _run(job: Job, configs: Sequence[JobConfig]) -> Iterator[FolderRun]:
    """The runs in order, each as it ends, where the job does not take all configurations together."""
    call = _imported(job.call)
    yield from call(configs) if job.together else map(call, configs)


def _imported(place: str) -> Callable[[Any], Any]:
    module, _, function = place.partition(":")
    call: Callable[[Any], Any] = getattr(importlib.import_module(module), function)
    return call


def summary(config: JobConfig, run: FolderRun) -> str:
    """One line on a finished stage: results, failures by reason, where they lie; another where the model changed."""
    failed = sum(run.failed.values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in run.failed.items())
    results = _numbers(config, run) if isinstance(config, EvaluateConfig) else f"{run.rows - failed} results"
    line = f"{config.stage}: {results}" + (f", {failed} failed ({reasons})" if failed else "")
    again = "; the same command tries the retryable failures again" if run.retryable else ""
    change = model_change(config, Folder(config.folder))
    changed = f"\nthe model changed: {config.stage}: {change}" if change else ""
    return f"{line}, in {config.folder}{again}{changed}"


def _numbers(config: EvaluateConfig, run: FolderRun) -> str:
    """How many numbers there are, and of what."""
    videos = Folder(config.folder).read(["n_videos"])["n_videos"].to_pylist()
    systems = len(config.predictions)
    of = f"{systems} system{'s' * (systems != 1)} and the baselines"
    return f"{run.rows} numbers of {of} over {max(videos, default=0)} annotated videos"


def too_many_failed(config: JobConfig, run: FolderRun) -> bool:
    return sum(run.failed.values()) > config.max_failed_share * run.rows
