"""How a report was made: recipes, models that answered, what calls cost, and the command that makes it again."""

import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import pyarrow.compute as pc

import tikval
from tikval.annotate.corrections import HISTORY, correction_history
from tikval.ask.withheld import is_outside
from tikval.codebook import Codebook
from tikval.config import (
    AskingPart,
    CascadeConfig,
    ExtractConfig,
    JobConfig,
    ReportConfig,
    ScriptConfig,
    nested,
)
from tikval.evaluate.cascade_plan import KeptPlan, read_check
from tikval.evaluate.development import development_note
from tikval.evaluate.distilled import Distilled
from tikval.extract.calibration import why_not_calibrated
from tikval.files import without_secrets
from tikval.llm.gate import Spent, read_spent
from tikval.media.isolation import isolation_text, kernel_isolation
from tikval.report.model_change import model_change
from tikval.report.site.record import Bill, CascadePromise
from tikval.report.tables.cascade import check_sentences, check_warnings, plan_lines, plan_sentences
from tikval.store.folder import Folder
from tikval.store.given import GivenTables
from tikval.store.runs import Study


def scripts_of(config: ReportConfig) -> dict[str, ScriptConfig]:
    """The recipes of scripts that the systems read, by name; the first one's are shown."""
    recipes = {
        system.scripts.fingerprint: system.scripts for system in config.scores.predictions if system.scripts
    }
    several = len(recipes) > 1
    return {f"scripts {key[:4]}" if several else "scripts": recipe for key, recipe in recipes.items()}


def bills_of(config: ReportConfig) -> tuple[Bill, ...]:
    """The costs of each stage that called a paid model."""
    bills = []
    for name, stage in _stages(config):
        part = stage.writer if isinstance(stage, ScriptConfig) else stage.extractor
        spent = read_spent(stage.folder)
        if spent is not None and isinstance(part, AskingPart):
            bills.append(_bill(name, part.llm.model, spent))
    return tuple(bills)


def _bill(stage: str, model: str, spent: Spent) -> Bill:
    return Bill(
        stage,
        model,
        spent.calls,
        spent.estimate_usd,
        paid_usd=spent.settled_usd,
        unknown_usd=spent.unknown_usd,
        tokens_in=spent.tokens_in,
        tokens_cached=spent.tokens_cached,
        cache_usd=spent.cache_usd,
        storage_usd=spent.storage_usd,
        cached_usd=spent.saved_usd,
    )


def _stages(config: ReportConfig) -> list[tuple[str, ScriptConfig | ExtractConfig]]:
    """The stages that may ask a model, by name."""
    systems = config.scores.predictions
    stages: list[tuple[str, ScriptConfig | ExtractConfig]] = [*scripts_of(config).items()]
    for system in systems:
        if isinstance(system, ExtractConfig):
            first = [system.predictions] if system.predictions else []  # whose stances are read again
            stages += [(f"values: {one.system}", one) for one in (*first, system)]
        elif isinstance(system, CascadeConfig):
            stages += [(f"{stage.stage}, sent up by {system.system}", stage) for stage in system.asked]
        elif teacher := getattr(system, "teacher", None):
            stages.append((f"values: {teacher.system}, on a sample", teacher))
    return list({stage.folder: (name, stage) for name, stage in stages}.values())


def model_changes(config: ReportConfig) -> tuple[tuple[str, str], ...]:
    """Each stage below this report that more than one model answered, by name, with a sentence on it."""
    names = {stage.folder: name for name, stage in _stages(config)}
    jobs = {job.folder: job for _, job in nested(config.scores)}  # also those that a combined system rests on
    found = {
        names.get(uri, f"{job.stage}: {getattr(job, 'system', uri.rpartition('-')[2])}"): change
        for uri, job in jobs.items()
        if (change := model_change(job, Folder(uri)))
    }
    return tuple(found.items())


def distilled_facts(config: ReportConfig) -> tuple[tuple[str, str], ...]:
    """The sample, the price and the loss of each distilled system."""
    found = {system.system: Distilled.read(Folder(system.folder)) for system in config.scores.predictions}
    return tuple(
        (f"Distilled: {name}", f"{'; '.join(one.sentences())}.")
        for name, one in found.items()
        if one is not None
    )


def given_facts(config: ReportConfig, label_set: str) -> tuple[tuple[str, str], ...]:
    """Which annotations and accounts are in use: file, when it was read, rows, and whether it is still the same."""
    catalog = Folder(config.scores.catalog.folder)
    given, facts = GivenTables.of(catalog), list[tuple[str, str]]()
    if table := given.annotations.get(label_set):
        names = {
            row["annotator"] for row in catalog.read_side_table("labels") if row["label_set"] == label_set
        }
        several = (
            f" by {len(names)} annotators, of whom {config.scores.annotator} counts" if len(names) > 1 else ""
        )
        earlier = _earlier(config.scores.catalog.annotations)
        facts.append(("Annotations", f"{table.about}{several}{earlier}{_corrected(config.out, label_set)}"))
    scores = Folder(config.scores.folder).run()
    if scores and (about := development_note(catalog, scores)):
        facts.append(("Development sample", about))
    if given.accounts:
        facts.append(("Accounts", f"{given.accounts.about}{_earlier(config.scores.catalog.accounts)}"))
    return tuple(facts)


def _corrected(out: str, label_set: str) -> str:
    """How many labels were corrected since; by whom stands in the file alone."""
    cells = {
        (one.video_id, one.annotator, one.value)
        for one in correction_history(out)
        if one.label_set == label_set
    }
    were = f"{len(cells)} label{'s were' if len(cells) > 1 else ' was'}"
    return f"; {were} corrected after annotation ({HISTORY} in the study's folder)" if cells else ""


def spoken_facts(config: ReportConfig) -> tuple[tuple[str, str], ...]:
    """The languages of the speech in each recipe's scripts, and how many are judged by a translation."""
    facts = []
    for name, recipe in scripts_of(config).items():
        found: Counter[str] = Counter()
        translated = 0
        for table in Folder(recipe.folder).tables(["language", "language_probability", "translated"]):
            translated += pc.sum(table["translated"]).as_py() or 0
            heard = table.filter(pc.is_valid(table["language_probability"]))
            found.update(language or "not recognised" for language in heard["language"].to_pylist())
        if found:
            languages = ", ".join(f"{language} {n:,}" for language, n in found.most_common(12))
            by = f"; {translated:,} with the recogniser's English, marked TRANSLATED" if translated else ""
            facts.append((f"Languages of speech ({name})", f"{languages}{by}"))
    return tuple(facts)


def _earlier(file: str | None) -> str:
    return "" if file else " (given by an earlier command: a new folder needs them again)"


def also_here(config: ReportConfig, label_set: str) -> tuple[tuple[str, str | None], ...]:
    """What else lies in the study, in words, with the page that shows it from this report's folder."""
    study = Study(config.out)
    shown = {system.system for system in config.scores.predictions}
    more = [one.system for one in study.current(label_set) if one.system not in shown]
    lines: list[tuple[str, str | None]] = []
    for other, what in study.over_others(label_set).items():
        latest = Study(config.out, codebook=other).latest("report")
        page = latest and f"../{latest[0].uri.rpartition('/')[2]}/index.html"
        lines.append((what, page))
    if more:
        lines.append((f"over the same codebook: {', '.join(more)}", None))
    return tuple(lines)


def command_of(config: ReportConfig) -> str:
    """The command that was typed; where nothing tells it, one that lists the same videos."""
    if config.asked:
        return config.asked.command
    catalog = config.scores.catalog
    words = ["tikval", "analyze", catalog.videos, "--out", config.out]
    for option in ("annotations", "accounts"):
        if path := getattr(catalog, option):
            words += [f"--{option}", path]
    return shlex.join(map(without_secrets, words))


def report_facts(config: ReportConfig, codebook: Codebook, catalog: Folder) -> tuple[tuple[str, str], ...]:
    listed = datetime.fromisoformat(catalog.finished().finished_at)
    return (
        ("Videos listed", f"{listed:%Y-%m-%d %H:%M} UTC"),
        ("tikval", tikval.__version__),
        ("Videos are read by", _isolation(config)),
        ("Codebook", f"{codebook.name}, version {codebook.version}"),
        *(("Profile", profile) for profile in (config.asked.profiles if config.asked else ())),
        *given_facts(config, codebook.label_set),
        *distilled_facts(config),
        *spoken_facts(config),
        *((f"Recipe of the {name}", recipe.fingerprint) for name, recipe in scripts_of(config).items()),
        *((f"Recipe of {system.system}", system.fingerprint) for system in config.scores.predictions),
        *_minors(config, catalog),
        ("Recipe in full", "run.json beside this page"),
    )


def _of_unknown(catalog: Folder) -> int:
    """Videos of which nothing says whether a minor features in them."""
    found = 0
    for table in catalog.tables(["is_minor", "error"]):
        found += pc.sum(pc.and_(table["is_minor"].is_null(), table["error"].is_null())).as_py() or 0
    return found


def _minors(config: ReportConfig, catalog: Folder) -> list[tuple[str, str]]:
    """What was settled on minors, for each outside model that was asked."""
    facts, n_unknown = [], None  # counted once, and only where it is said
    for name, stage in _stages(config):
        part = stage.writer if isinstance(stage, ScriptConfig) else stage.extractor
        if isinstance(part, AskingPart) and is_outside(part.llm):
            if n_unknown is None:
                n_unknown = _of_unknown(catalog)
            both = stage.api.send_minors
            settled = f"videos of minors: {_sent(both)}"
            if n_unknown:
                sent = _sent(both or stage.api.minors_unknown == "send")
                settled += f"; {n_unknown} of which nothing says so or not: {sent}"
            facts.append((f"Minors, {name}", settled))
    return facts


def _sent(sent: bool) -> str:
    return "sent" if sent else "withheld"


def _isolation(config: ReportConfig) -> str:
    stages = [*scripts_of(config).values(), *config.scores.predictions]
    modes = {stage.limits.isolation for stage in stages if isinstance(stage, ScriptConfig | ExtractConfig)}
    if "off" in modes:
        return "a child process that is not isolated (limits.isolation is off)"
    return f"an isolated child process; on this page's machine: {isolation_text(kernel_isolation())}"


def cascade_promises(config: ReportConfig) -> tuple[CascadePromise, ...]:
    """The promise of every cascade among the systems."""
    found = []
    for system in config.scores.predictions:
        folder = Folder(system.folder)
        kept = KeptPlan.read(folder) if isinstance(system, CascadeConfig) else None
        if kept is not None:
            check = read_check(folder)
            told = (*plan_sentences(kept), *(check_sentences(check) if check else ()))
            warned = tuple(check_warnings(system.system, check)) if check else ()
            found.append(CascadePromise(system.system, tuple(plan_lines(kept.plan)), told, warned))
    return tuple(found)


def about(config: ReportConfig, system: JobConfig, places: Mapping[str, Folder]) -> str:
    """The models that answered, as the rows of the stages' folders name them, and whether a threshold fits the
    codebook; `places` by the stage's name."""
    why_not = why_not_calibrated(system) if isinstance(system, ExtractConfig) else None
    return _models(config, system, places) + (f"; not calibrated: {why_not}" if why_not else "")


def _models(config: ReportConfig, system: JobConfig, places: Mapping[str, Folder]) -> str:
    served = _served(places[f"values: {system.system}"])  # type: ignore[attr-defined]
    scripts: ScriptConfig | None = system.scripts  # type: ignore[attr-defined]
    if scripts is None:
        return f"values by {served}, from the video itself"
    recipes = scripts_of(config)
    name = next(name for name, recipe in recipes.items() if recipe.fingerprint == scripts.fingerprint)
    return f"scripts by {_served(places[name])}; values by {served}"


def _served(folder: Folder) -> str:
    names = folder.read(["model_served"])["model_served"].unique().drop_null().to_pylist()
    return ", ".join(sorted(names)) or "nobody"
