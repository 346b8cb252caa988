"""Warnings that stand wherever results are shown or handed on."""

from collections.abc import Iterable
from typing import Final

from tikval.config import ExtractConfig, JobConfig
from tikval.extract.calibration import why_not_calibrated

LOCAL_NOTICE: Final = (
    "Demo quality. These values come from the embedded default: a small speech recogniser (other languages are judged "
    "by the English that it makes of them, which scripts mark as TRANSLATED), "
    "Tesseract and sentence embeddings, without looking at what the picture shows. Do not draw conclusions "
    "about people from them."
)


def is_local_system(system: JobConfig) -> bool:
    """Whether a system is the embedded default."""
    return isinstance(system, ExtractConfig) and system.extractor.kind == "local"


def local_notice(systems: Iterable[JobConfig]) -> str | None:
    """What to know of values by the embedded default, and which of these systems is not calibrated for its codebook;
    None where no system is local."""
    local = [system for system in systems if isinstance(system, ExtractConfig) and is_local_system(system)]
    if not local:
        return None
    return " ".join([LOCAL_NOTICE, *filter(None, map(not_calibrated, local))])


def not_calibrated(system: JobConfig, folder: str | None = None) -> str | None:
    """A sentence on a system whose threshold is not one for its codebook; None: it is. `folder`: where it lies now."""
    why_not = why_not_calibrated(system, folder) if isinstance(system, ExtractConfig) else None
    if why_not is None:
        return None
    return f"Not calibrated: what {system.system} predicts may be far too much or too little ({why_not})."  # type: ignore[attr-defined]
