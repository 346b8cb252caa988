"""What several samples of a language model tell of how sure it is, as facts of a report."""

from tikval.config import ExtractConfig, LlmExtractor, ReportConfig
from tikval.evaluate.faithfulness import ShareEstimate
from tikval.evaluate.sample_agreement import SampleAgreement, sample_agreement
from tikval.report.display import two
from tikval.report.site.study_rows import StudyRows
from tikval.stats.limits import counted


def sample_facts(config: ReportConfig, rows: StudyRows) -> tuple[tuple[str, str], ...]:
    """A line for each system that asked for several samples: how far they agree, and how often it is right then."""
    facts = []
    for system in config.scores.predictions:
        if not isinstance(system, ExtractConfig) or not isinstance(system.extractor, LlmExtractor):
            continue
        if system.extractor.samples == 1:
            continue
        found = sample_agreement(rows.places[f"values: {system.system}"], rows.catalog, rows.labels)
        text = f"{system.extractor.samples} to each video, and a vote"
        facts.append((f"Samples of {system.system}", text + (_agreement(found) if found else "")))
    return tuple(facts)


def _agreement(found: SampleAgreement) -> str:
    share = 100 * found.disagreeing / found.videos
    text = (
        f"; mean agreement {found.mean:.3f}, not corrected for chance; in {found.disagreeing:,} of "
        f"{counted(found.videos, 'video')} ({share:.0f} %) they differ on at least one value"
    )
    judged = {"all agree": found.agreed, "they differ": found.split}
    parts = [f"{_share(each)} annotated values on which {which}" for which, each in judged.items() if each]
    return text + (f"; share with the annotator's stance: {', '.join(parts)}" if parts else "")


def _share(found: ShareEstimate) -> str:
    """`0.91 [0.88, 0.94] of the 240`."""
    how_sure = f"[{two(found.low)}, {two(found.high)}]" if found.low is not None else f"({found.why_none})"
    return f"{two(found.value)} {how_sure} of the {found.n:,}"
