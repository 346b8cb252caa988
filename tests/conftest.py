"""Shared by all tests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
# how long an example takes is the machine's business: other tests run beside it
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.environ.setdefault("TIKVAL_CACHE", str(ROOT / ".cache"))
os.environ.pop("RAY_ADDRESS", None)
os.environ["TIKVAL_KEY"] = "5c" * 32  # no test makes one in the home of who runs it
os.environ["GEMINI_API_KEY"] = (
    "a-key"  # for our own server; the actors of a Ray that all tests share see it too
)
os.environ["RAY_metrics_report_interval_ms"] = "500"  # noqa: SIM112 - Ray spells it so; a test does not wait ten seconds


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray of this machine's own for all tests that ask for it."""
    from tikval.flow.session import start_ray

    start_ray()
    yield
    import ray

    ray.shutdown()


@pytest.fixture(autouse=True, scope="session")
def _one_form_of_figures() -> Iterator[None]:
    """Figures in one of their three forms, in a third of the time, but where a test asks for `every_form`."""
    with pytest.MonkeyPatch.context() as patch:
        if drawing := sys.modules.get("tikval.report.figures.gather"):  # else nobody here draws
            patch.setattr(drawing, "SUFFIXES", ("svg",))
        yield


@pytest.fixture(scope="module")
def every_form() -> Iterator[None]:
    from tikval.report.figures import gather, style

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "SUFFIXES", style.SUFFIXES)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that the others run beside them."""
    items.sort(key=lambda item: item.path.name not in ("test_clip.py", "test_one_study.py"))
