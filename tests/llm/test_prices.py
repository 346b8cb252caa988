"""What a call costs: the table and its arithmetic."""

from datetime import date

import pytest

from tikval.config import UserError, read_yaml, validate
from tikval.llm.client import Usage
from tikval.llm.prices import SHIPPED, Price, Prices, Tier, TokenRates, load_prices

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def prices() -> Prices:
    return load_prices()


def test_prices_change_on_their_day(prices: Prices) -> None:
    assert prices.of("gemini-3.8-flash", date(2026, 12, 31)).rates.output == 3.75
    assert prices.of("gemini-3.8-flash", date(2027, 1, 1)).rates.output == 7.50


def test_a_retired_model_has_no_price_any_more(prices: Prices) -> None:
    assert prices.of("gemini-2.5-pro", date(2026, 11, 30)).rates.input == 1.25
    with pytest.raises(
        UserError, match=r"prices\.yaml: no price of 'gemini-2\.5-pro' on 2026-12-01 any more"
    ):
        prices.of("gemini-2.5-pro", date(2026, 12, 1))


def test_an_unknown_model_is_told_the_known_ones(prices: Prices) -> None:
    with pytest.raises(UserError, match=r"'gemini-9'.*known on that day: .*gemini-3\.8-flash"):
        prices.of("gemini-9", TODAY)


def test_another_model_answers_in_place_of_a_retired_one(prices: Prices) -> None:
    assert prices.answering("gemini-2.5-pro", date(2026, 11, 30)) == "gemini-2.5-pro"
    assert prices.answering("gemini-2.5-pro", date(2026, 12, 1)) == "gemini-3.8-flash"
    assert prices.answering("gemini-9", TODAY) == "gemini-9"
    with pytest.raises(UserError, match=r"gemini-3\.8-flash answers in its place"):
        prices.of("gemini-2.5-pro", date(2026, 12, 1))


def test_the_days_on_which_a_models_calls_cost_something_else(prices: Prices) -> None:
    year = date(2027, 11, 22)
    assert prices.changes("gemini-3.8-flash", TODAY, year) == [date(2027, 1, 1)]
    assert prices.changes("gemini-2.5-pro", TODAY, year) == [date(2026, 12, 1), date(2027, 1, 1)]
    assert prices.changes("gemini-2.5-flash", TODAY, year) == [date(2026, 12, 1)]
    assert prices.changes("gemini-3.1-pro-preview", TODAY, year) == []
    assert prices.changes("gemini-3.8-flash", date(2027, 1, 1), year) == []
    assert prices.changes("gemini-3.8-flash", TODAY, date(2026, 12, 31)) == []
    # another source of the same numbers is no change, the end without a successor is one
    entry = {"from": "2026-01-01", "until": "2026-12-05", "input": 1, "output": 2, "source": "x"}
    later = {**entry, "from": "2026-12-05", "until": "2026-12-09", "source": "y"}
    table = validate(Prices, read_yaml(SHIPPED) | {"models": {"m": [entry, later]}}, "prices.yaml")
    assert table.changes("m", TODAY, year) == [date(2026, 12, 9)]


def test_models_that_answer_for_each_other_do_not_go_on_for_ever() -> None:
    entry = {"from": "2026-01-01", "until": "2026-02-01", "input": 1, "output": 2, "source": "x"}
    models = {"a": [{**entry, "answered_by": "b"}], "b": [{**entry, "answered_by": "a"}]}
    table = validate(Prices, read_yaml(SHIPPED) | {"models": models}, "prices.yaml")
    assert table.answering("a", TODAY) == "b"


def test_a_cache_takes_no_short_prompt(prices: Prices) -> None:
    assert not prices.can_cache("gemini-3.8-flash", 4095)
    assert prices.can_cache("gemini-3.8-flash", 4096)
    assert prices.can_cache("gemini-2.5-flash-lite", 2048)


def test_a_version_of_a_model_has_its_price(prices: Prices) -> None:
    assert prices.of("gemini-3.8-flash-001", TODAY) == prices.of("gemini-3.8-flash", TODAY)
    with pytest.raises(UserError):
        prices.of("gemini-3.8-flash-image", TODAY)


def test_a_call_costs_its_tokens() -> None:
    price = Price(TokenRates(input=1, input_sound=3, cached=0.25, output=10))
    assert price.cost(Usage()) == 0
    assert price.cost(Usage(tokens_in=1_000_000)) == 1
    assert price.cost(Usage(tokens_in=1_000_000, tokens_cached=1_000_000)) == 0.25
    usage = Usage(tokens_in=1000, tokens_cached=400, tokens_sound=100, tokens_out=50)
    assert price.cost(usage) == pytest.approx((500 * 1 + 100 * 3 + 400 * 0.25 + 50 * 10) / 1e6)
    plain = Price(TokenRates(input=1, output=10))
    assert plain.cost(usage) == pytest.approx((1000 + 500) / 1e6)


def test_a_long_prompt_is_dearer_as_a_whole() -> None:
    price = Price(TokenRates(input=1, output=10), Tier(tokens=200_000, input=2, output=15))
    assert price.cost(Usage(tokens_in=200_000, tokens_out=1000)) == pytest.approx(0.21)
    assert price.cost(Usage(tokens_in=200_001, tokens_out=1000)) == pytest.approx(0.415, abs=1e-5)


def test_no_call_costs_more_than_its_most(prices: Prices) -> None:
    for model in prices.models:
        for period in prices.models[model]:
            price = prices.of(model, period.since)
            for tokens_in in (1000, 150_000, 250_000):
                for cached in (0, 500):
                    usage = Usage(tokens_in, cached, 300, 700)
                    for batch in (False, True):
                        most = price.most(tokens_in, 300, 700, batch=batch)
                        assert price.cost(usage, batch=batch) <= most + 1e-12


def test_batch_is_half_of_all_but_what_was_cached(prices: Prices) -> None:
    price = prices.of("gemini-3.8-flash", TODAY)
    usage = Usage(tokens_in=20_000, tokens_cached=12_000, tokens_sound=500, tokens_out=700)
    cached = 12_000 * 0.075 / 1e6
    assert price.cost(usage, batch=True) - cached == pytest.approx((price.cost(usage) - cached) / 2)
    assert price.most(20_000, 500, 700, batch=True) == pytest.approx(price.most(20_000, 500, 700) / 2)
    loud = prices.of("gemini-2.5-flash", TODAY)
    sound = Usage(tokens_in=1000, tokens_sound=1000)
    assert loud.cost(sound, batch=True) == pytest.approx(loud.cost(sound) / 2)
    # a table that says nothing of Batch promises nothing
    assert Price(TokenRates(input=1, output=10)).cost(usage, batch=True) == pytest.approx(0.027)


def test_a_long_prompt_is_dearer_by_batch_too(prices: Prices) -> None:
    price = prices.of("gemini-3.1-pro-preview", TODAY)
    usage = Usage(tokens_in=250_000, tokens_out=1000)
    assert price.cost(usage, batch=True) == pytest.approx((250_000 * 4 + 1000 * 18) / 2e6)


def test_an_explicit_cache_costs_by_the_hour(prices: Prices) -> None:
    assert prices.of("gemini-3.8-flash", TODAY).storage_usd(12_500, 8) == pytest.approx(0.05)
    assert prices.of("gemini-3.8-flash", date(2027, 1, 1)).storage_usd(12_500, 8) == pytest.approx(0.10)
    assert prices.of("gemini-3.1-pro-preview", TODAY).storage_usd(1_000_000, 1) == 4.5
    # nobody says: the dearest
    entry = {"from": "2026-01-01", "until": None, "input": 1, "output": 2, "source": "x"}
    table = validate(Prices, read_yaml(SHIPPED) | {"models": {"m": [entry]}}, "prices.yaml")
    dearest = max(period.storage for periods in prices.models.values() for period in periods)
    assert table.of("m", TODAY).storage_usd(1_000_000, 1) == dearest


def test_a_video_makes_tokens(prices: Prices) -> None:
    assert prices.video_tokens("gemini-3.8-flash", 10, None) == 800
    assert prices.video_tokens("gemini-3.8-flash", 10, "high") == 2900
    assert prices.video_tokens("gemini-2.5-flash-lite", 10, "low") == 760
    assert prices.sound_tokens("gemini-2.5-pro", 10.01) == 321
    documented = prices.video_tokens("gemini-2.5-pro", 60, None) + prices.sound_tokens("gemini-2.5-pro", 60)
    assert documented == 60 * 300
    # nobody knows: the dearest
    assert prices.video_tokens("gemini-9", 10, None) == 2680
    assert prices.video_tokens("gemini-9", 10, "high") == 2900


def test_a_picture_by_itself_makes_tokens(prices: Prices) -> None:
    assert prices.picture_tokens("gemini-3.8-flash", None) == 1120
    assert prices.picture_tokens("gemini-3.8-flash", "low") == 280
    assert prices.picture_tokens("gemini-2.5-pro", "medium") == 256
    assert prices.picture_tokens("gemini-9", "medium") == 560
    old = {
        "models": "x",
        "default": 1,
        "low": 1,
        "medium": 1,
        "high": 1,
        "sound": 1,
        "source": "a table of before",
    }
    table = validate(Prices, read_yaml(SHIPPED) | {"families": [old]}, "prices.yaml")
    assert table.picture_tokens("x", None) == 2304


def test_every_price_says_where_it_comes_from(prices: Prices) -> None:
    assert all(period.source for periods in prices.models.values() for period in periods)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"until": "2026-01-01"}, "is not after from"),
        ({"inputs": 1}, "unknown key"),
        ({"answered_by": "other"}, "answered_by: needs until"),
        ({"output": -1}, "output"),
        ({"source": None}, "source"),
    ],
)
def test_a_wrong_entry_is_named(change: dict[str, object], message: str) -> None:
    entry = {"from": "2026-01-01", "until": None, "input": 1, "output": 2, "source": "x", **change}
    table = read_yaml(SHIPPED) | {"models": {"m": [entry]}}
    with pytest.raises(UserError, match=message):
        validate(Prices, table, "prices.yaml")


def test_two_prices_on_one_day_are_an_error() -> None:
    entry = {"from": "2026-01-01", "until": None, "input": 1, "output": 2, "source": "x"}
    table = read_yaml(SHIPPED)
    table["models"] = {"m": [entry, {**entry, "from": "2026-02-01"}]}
    with pytest.raises(UserError, match="two prices on 2026-02-01"):
        validate(Prices, table, "prices.yaml")
