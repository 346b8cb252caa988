"""An explicit cache of the prompt over a whole run, by the server's own counts of tokens and money."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.bill import RATES
from tests.fixtures.paid import MODEL, asks, errors, paid_answers
from tikval.files import list_files
from tikval.llm import cache
from tikval.llm.gate import Spent, read_spent
from tikval.rows import AnswerRow

BOOK = "The codebook. " * 2000  # 28,000 bytes, 7,000 tokens
TOKENS = 7000
RATE = RATES[MODEL]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")


def booked(folder: Path) -> Spent:
    spent = read_spent(str(folder))
    assert spent is not None
    return spent


def run(
    folder: Path, fake: LlmServer, n: int, *, batches: int = 1, pause: float = 0.0, **given: object
) -> list[AnswerRow]:
    """All rows, a part of them after another."""
    rows = list[AnswerRow]()
    options: dict[str, object] = {"system": BOOK, "calls": n, **given}
    with paid_answers(folder, fake, **options) as answers:  # type: ignore[arg-type]
        for part in range(batches):
            rows += answers(asks(n)[part * n // batches : (part + 1) * n // batches])
            time.sleep(pause)
    return rows


def held(fake: LlmServer) -> Sequence[str | None]:
    return [call.cache for call in fake.of("generate")]


def check_bill(folder: Path, fake: LlmServer) -> Spent:
    """What is booked is what the server billed, and hardly more."""
    fake.end()
    spent = booked(folder)
    assert fake.billed_usd() <= spent.settled_usd + 1e-12
    assert spent.settled_usd <= fake.billed_usd() * 1.02
    replies = fake.of("generate")
    assert spent.tokens_in == sum(call.tokens_in for call in replies)
    assert spent.tokens_cached == sum(call.tokens_cached for call in replies)
    return spent


def test_a_cache_is_made_before_the_first_call_used_by_all_and_deleted_at_the_end(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        rows = run(tmp_path, fake, 60, cache="explicit")
        plain = tmp_path / "plain"
        without = LlmServer()
        with serving(without):
            run(plain, without, 60, cache="off")
    assert errors(rows) == {None}
    assert [call.outcome for call in fake.of("cache")] == ["ok"]
    assert len(set(held(fake))) == 1
    assert None not in held(fake)
    assert all(body.keys().isdisjoint({"systemInstruction"}) for body in fake.bodies)
    assert sum(row["tokens_cached"] or 0 for row in rows) == 60 * TOKENS
    assert fake.caches == {}
    assert list_files(str(tmp_path), "cache.json") == []
    spent = check_bill(tmp_path, fake)
    saved = spent.saved_usd - spent.cache_usd - spent.storage_usd
    assert spent.cache_usd == pytest.approx(TOKENS * RATE.input / 1e6)
    assert saved == pytest.approx(without.billed_usd() - fake.billed_usd(), rel=0.01)
    assert saved > 0.6 * without.billed_usd()


def test_where_the_implicit_cache_holds_the_prompt_none_is_made(tmp_path: Path) -> None:
    with serving(LlmServer(cached_from=4096)) as fake:
        rows = run(tmp_path, fake, 80)
    assert errors(rows) == {None}
    assert fake.of("cache") == []
    assert check_bill(tmp_path, fake).tokens_cached > 60 * TOKENS


def test_where_it_does_not_one_is_made_while_calls_go_on(tmp_path: Path) -> None:
    with serving(LlmServer(latency=0.05)) as fake:
        rows = run(tmp_path, fake, 200, in_flight=8)
    assert errors(rows) == {None}
    first = next(n for n, name in enumerate(held(fake)) if name)
    assert 20 <= first < 120, "after the first replies, and soon"
    assert None not in held(fake)[first + 20 :]
    assert len(fake.of("cache")) == 1
    assert check_bill(tmp_path, fake).saved_usd > 0


def test_a_prompt_is_the_same_call_with_a_cache_and_without(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        run(tmp_path, fake, 10, cache="off")
        again = run(tmp_path, fake, 10, cache="explicit")
        assert errors(again) == {None}
        assert len(fake.of("generate")) == 10


def test_a_cache_that_expires_in_mid_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_REMADE_SECONDS", 0.5)
    with serving(LlmServer(cache_lives=1.5, latency=0.02)) as fake:
        rows = run(tmp_path, fake, 400, batches=20, pause=0.2, cache="explicit")
    assert errors(rows) == {None}
    paid = [call.key for call in fake.of("generate") if call.outcome == "ok"]
    assert len(paid) == len(set(paid)) == 400, "every row once"
    gone = [call for call in fake.of("generate") if call.outcome == "gone"]
    assert gone
    assert all(call.billed_usd == 0 for call in gone)
    assert len([call for call in fake.of("cache") if call.outcome == "ok"]) >= 2, "made anew"
    # how many fall between two caches hangs on how busy this machine is: of 400 there were 205 at a load of 20
    assert sum(row["tokens_cached"] or 0 for row in rows) > 100 * TOKENS
    check_bill(tmp_path, fake)


def test_a_row_of_one_try_outlives_its_cache(tmp_path: Path) -> None:
    with serving(LlmServer(cache_lives=0.0)) as fake:
        rows = run(tmp_path, fake, 5, cache="explicit", tries=1)
    assert errors(rows) == {None}
    assert len(fake.of("cache")) == 1, "one that nobody could use is not made again"


def test_it_is_renewed_while_calls_use_it(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        rows = run(tmp_path, fake, 24, batches=12, pause=1.0, cache="explicit", cache_minutes=6 / 60)
    assert errors(rows) == {None}
    assert len(fake.of("cache")) == 1
    assert len(set(held(fake))) == 1
    assert len(fake.of("cache_patch")) >= 1
    check_bill(tmp_path, fake)


@pytest.mark.parametrize(
    ("fake", "n_asked"),
    [
        (LlmServer(no_caches=True), 1),
        (LlmServer(cache_least=10_000), 1),
        (LlmServer(rules=[Rule(Trouble("unavailable"), kind="cache")]), 1),
        (LlmServer(rules=[Rule(Trouble("reset_before"), kind="cache")]), 1),
    ],
)
def test_a_server_without_caches_is_asked_without_one(
    tmp_path: Path, fake: LlmServer, n_asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(fake):
        rows = run(tmp_path, fake, 30, cache="explicit")
    assert errors(rows) == {None}
    assert len(fake.of("cache")) == n_asked
    assert set(held(fake)) == {None}
    assert caplog.text.count("no explicit cache of the prompt") == 1


def test_a_lost_answer_is_looked_for(tmp_path: Path) -> None:
    with serving(LlmServer(rules=[Rule(Trouble("reset"), kind="cache", first=1)])) as fake:
        rows = run(tmp_path, fake, 30, cache="explicit")
        assert errors(rows) == {None}
        assert len(fake.of("cache")) == 1
        assert None not in held(fake)
        assert fake.caches == {}
        check_bill(tmp_path, fake)


def test_one_that_a_killed_run_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        with paid_answers(tmp_path, fake, system=BOOK, calls=9, cache="explicit") as answers:
            answers(asks(3))
            record = (tmp_path / "cache.json").read_bytes()
            left = dict(fake.caches)
            account = (tmp_path / "calls.json").read_bytes()
        fake.caches.update(left)  # as if it had been killed
        (tmp_path / "cache.json").write_bytes(record)
        (tmp_path / "calls.json").write_bytes(account)
        rows = run(tmp_path, fake, 9, cache="auto")
        assert errors(rows) == {None}
        assert fake.caches == {}
        assert not (tmp_path / "cache.json").exists()
        assert booked(tmp_path).settled_usd >= fake.billed_usd()


def test_a_cache_keeps_to_the_budget(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        rows = run(tmp_path, fake, 30, cache="explicit", budget_usd=0.06)
        fake.end()
    assert None in errors(rows)
    assert fake.billed_usd() <= booked(tmp_path).settled_usd <= 0.06


def test_a_small_prompt_is_not_cached(tmp_path: Path) -> None:
    with serving(LlmServer()) as fake:
        rows = run(tmp_path, fake, 5, cache="explicit", system="Judge.")
    assert errors(rows) == {None}
    assert fake.of("cache") == []


def test_a_cache_that_may_have_been_made_counts_with_its_most(tmp_path: Path) -> None:
    lost = [Rule(Trouble("reset"), kind="cache", first=1), Rule(Trouble("reset_before"), kind="caches")]
    with serving(LlmServer(rules=lost)) as fake:
        rows = run(tmp_path, fake, 5, cache="explicit")
        assert errors(rows) == {None}
        assert set(held(fake)) == {None}
        assert len(fake.caches) == 1, "nobody knows its name"
        assert booked(tmp_path).unknown_usd > TOKENS * RATE.input / 1e6
        fake.rules = ()
        run(tmp_path, fake, 10, cache="auto")
        assert fake.caches == {}, "the next run finds it by its label"
        assert fake.billed_usd() <= booked(tmp_path).settled_usd
