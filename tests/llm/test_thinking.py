"""What a model takes of thinking and sampling is known before the first call."""

from pathlib import Path

import pytest

from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_server import LlmServer
from tests.llm.test_gemini import ask
from tikval.ask.paid import asked_of
from tikval.config import Api, Endpoint, ExtractConfig, Gemini, ReportConfig, UserError, load_config
from tikval.llm.client import Question
from tikval.llm.keys import check_access
from tikval.llm.thinking import check_parameters, model_limits
from tikval.sources.write_catalog import write_catalog
from tikval.study.check import check_inputs
from tikval.terminal import note_once

LEVELS = ("minimal", "low", "medium", "high")
# of the issue: models, the levels that they take, and their default
TAKEN: dict[str, tuple[tuple[str, ...], str]] = {
    "gemini-3.8-flash": (LEVELS[1:], "medium"),
    "gemini-3.7-flash": (LEVELS[1:], "medium"),
    "gemini-3.1-pro-preview": (LEVELS[1:], "high"),
    "gemini-3.6-flash": (LEVELS, "medium"),
    "gemini-3.5-flash": (LEVELS, "medium"),
    "gemini-3.5-flash-lite": (LEVELS, "minimal"),
    "gemini-3.1-flash-lite": (LEVELS, "minimal"),
    "models/gemini-3.8-flash-002": (LEVELS[1:], "medium"),
}


@pytest.fixture(autouse=True)
def _fresh_notes() -> None:
    note_once.cache_clear()


@pytest.mark.parametrize("model", TAKEN)
def test_each_level_that_a_model_takes_and_no_other(model: str) -> None:
    levels, default = TAKEN[model]
    for level in LEVELS:
        llm = Gemini(model=model, thinking_level=level)  # type: ignore[arg-type]
        if level in levels:
            check_parameters(llm)
            continue
        with pytest.raises(UserError) as caught:
            check_parameters(llm)
        words = [f"{each} (its default)" if each == default else each for each in levels]
        assert str(caught.value).endswith(f"takes {words[0]}, {words[1]} or {words[2]}, and not minimal")
    limits = model_limits(model)
    assert limits is not None
    assert limits.default == default


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        ("gemini-2.5-pro", (-1, 128, 32_768), (0, 127, 32_769)),
        ("gemini-2.5-flash", (-1, 0, 1, 24_576), (24_577,)),
        ("gemini-2.5-flash-lite-preview-09-2025", (-1, 0, 512, 24_576), (1, 511, 24_577)),
    ],
)
def test_older_models_take_budgets_in_their_range_and_no_level(
    model: str, good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    for tokens in good:
        check_parameters(Gemini(model=model, thinking_tokens=tokens))
    for tokens in bad:
        with pytest.raises(UserError, match=f"takes thinking_tokens of .*, and not {tokens}$"):
            check_parameters(Gemini(model=model, thinking_tokens=tokens))
    with pytest.raises(UserError, match=r"takes thinking_tokens of .* and not low"):
        check_parameters(Gemini(model=model, thinking_level="low"))


def test_a_level_and_a_budget_together_are_refused_when_they_are_read() -> None:
    both = {"kind": "gemini", "model": "gemini-3.8-flash", "thinking_level": "low", "thinking_tokens": 5}
    with pytest.raises(UserError, match="thinking_tokens or thinking_level, not both"):
        load_config(ExtractConfig, "configs/gemini/direct.yaml", [("extractor.llm", both)])


def test_what_is_not_wrong_is_a_note_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        check_parameters(Gemini(model="gemini-3.8-flash", thinking_tokens=1024))
        check_parameters(Gemini(model="gemini-9-flash", thinking_level="minimal"))
        check_parameters(Gemini(model="gemini-3.8-flash-lite", thinking_tokens=7))  # no version of 3.8 Flash
        check_parameters(Gemini(model="gemini-3.8-flash", temperature=0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("tikval: note: ")[1][:40] for line in lines] == [
        "gemini-3.8-flash takes a thinking_level ",
        "gemini-9-flash: not known here, so how i",
        "gemini-3.8-flash-lite: not known here, s",
        "gemini-3.8-flash ignores a temperature, ",
    ]
    check_parameters(Gemini(model="gemini-3.8-flash"))
    check_parameters(Gemini(model="gemini-9-flash", temperature=0))
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        *(("gemini-3.8-flash", False), ("gemini-3.7-flash", False), ("gemini-3.6-flash", False)),
        *(("gemini-3.5-flash-lite", False), ("gemini-3.5-flash", True), ("gemini-3.1-pro-preview", True)),
        *(("gemini-2.5-flash", True), ("gemini-9", True)),
    ],
)
def test_a_temperature_is_left_out_where_it_is_deprecated(model: str, sent: bool) -> None:
    fake = LlmServer()
    ask(fake, Question("Q"), model=model, temperature=0)
    assert ("temperature" in fake.bodies[0]["generationConfig"]) == sent
    key = asked_of(Gemini(model=model, temperature=0), "Q", None, None)["llm"]
    assert key["temperature"] == 0.0, "the ledger's keys of before stay"


def test_a_wrong_level_stops_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the job, before Ray starts, and of tikval check alike; an endpoint's model may have any name."""
    import ray

    from tikval.flow.extract_values import extract_values

    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    write_unlike(tmp_path / "videos", 1)
    at = "scores.predictions.0."
    sets = [(f"{at}{key}out", str(tmp_path / "out")) for key in ("", "videos.")]
    sets += [
        (f"{at}videos.videos", str(tmp_path / "videos")),
        (f"{at}extractor.llm.thinking_level", "minimal"),
    ]
    wanted = ("scores.predictions", ["configs/gemini/direct.yaml"])
    config = load_config(ReportConfig, "configs/gemini/report.yaml", [wanted, *sets])
    wrong = [(line.what, line.found[:48]) for line in check_inputs(config.scores) if line.wrong]
    assert wrong == [("predictions: gemini_direct", "thinking_level: gemini-3.8-flash takes low, medi")]

    (system,) = config.scores.extracted
    write_catalog(system.catalog)
    started = ray.is_initialized()
    with pytest.raises(UserError, match="takes low, medium"):
        extract_values(system)
    assert ray.is_initialized() == started
    check_access(Endpoint(model="gemini-3.8-flash", temperature=0), Api(base_url="http://x"))
