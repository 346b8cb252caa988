"""Ray that does not start: tried twice more on this machine, then said in one line."""

import socket
from typing import Any

import pytest
import ray

from tikval.config import UserError
from tikval.flow import session
from tikval.flow.session import start_ray, watch_head


class Slow:
    """In the place of ray.init: times out as often as it is told."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: list[str] = []

    def __call__(self, *, address: str, **_: Any) -> None:
        self.asked.append(address)
        if len(self.asked) <= self.times:
            raise Exception("The current node timed out during startup.\nSee the log.")


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(session, "_start_watching", lambda: None)


@pytest.mark.parametrize("times", [1, 2])
def test_a_slow_start_is_tried_again(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(times)
    monkeypatch.setattr(ray, "init", slow)
    start_ray()
    assert slow.asked == ["local"] * (times + 1)


def test_one_that_never_starts_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", Slow(9))
    with pytest.raises(UserError, match=r"did not start.*timed out during startup.*Try again") as message:
        start_ray()
    assert "\n" not in str(message.value)


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(9)
    monkeypatch.setattr(ray, "init", slow)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"Ray at 10\.0\.0\.1:6379 cannot be joined"):
        start_ray()
    assert slow.asked == ["10.0.0.1:6379"]


def test_a_head_that_is_gone_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        looks = iter([True] * 3 + [False])
        watch_head(address, lambda: next(looks), seconds=0.01)
        assert capsys.readouterr().err == ""
    watch_head(address, lambda: True, seconds=0.01)
    assert capsys.readouterr().err.startswith(f"tikval: Ray's head at {address} does not answer")
