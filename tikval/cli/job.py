"""What every job's `python -m jobs.<name> <config.yaml> [key=value ...]` has in common."""

import sys
from collections.abc import Callable
from typing import TypeVar

from tikval.config import JobConfig, UserError, load_config
from tikval.store.folder import FolderRun

C = TypeVar("C", bound=JobConfig)

FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit codes


def summary(config: JobConfig, run: FolderRun) -> str:
    """One line on a finished stage: results, failures by reason, where they lie."""
    failed = sum(run.failed.values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in run.failed.items())
    said = f"{config.stage}: {run.rows - failed} results" + (
        f", {failed} failed ({reasons})" if failed else ""
    )
    again = "; the same command tries the passing failures again" if run.retryable else ""
    return f"{said}, in {config.folder}{again}"


def too_many_failed(config: JobConfig, run: FolderRun) -> bool:
    return sum(run.failed.values()) > config.max_failed_share * run.rows


def guard(work: Callable[[], int]) -> int:
    """The exit code of some work; what a user can mend becomes one line instead of a traceback."""
    try:
        return work()
    except UserError as err:
        print(f"tikval: {err}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("tikval: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def training_arguments(kind: type[C], job: str) -> tuple[list[C], bool]:
    """Configurations with the overrides, which hold for all of them, and whether --dry-run was asked for."""
    words = [word for word in sys.argv[1:] if word != "--dry-run"]
    files = [word for word in words if "=" not in word]
    if not files:
        raise UserError(f"usage: python -m jobs.{job} CONFIG.yaml ... [key=value ...] [--dry-run]")
    overrides = [word for word in words if "=" in word]
    return [load_config(kind, file, overrides) for file in files], "--dry-run" in sys.argv


def main(kind: type[C], run: Callable[[C], FolderRun]) -> None:
    """Run one job from the command line and exit: 0, 1 when too many rows failed, 2 for a mistake of the user."""

    def work() -> int:
        if len(sys.argv) < 2:
            raise UserError(f"usage: python -m jobs.NAME CONFIG.yaml [key=value ...] (a {kind.__name__})")
        config = load_config(kind, sys.argv[1], sys.argv[2:])
        done = run(config)
        print(summary(config, done))
        return FAILED if too_many_failed(config, done) else 0

    sys.exit(guard(work))
