"""Pages in a real browser: headless Chromium, where an error or a request to elsewhere fails the test.

A test file is marked `browser`, and assigns the fixtures: `chromium, visit = browser.chromium, browser.visit`.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

PHONE_PX: Final = 375
DESK_PX: Final = 1280
# the policy's violations, as errors of the console with the directive's name
_TELL_VIOLATIONS: Final = """
    document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`);
    });
"""


@dataclass
class Tab:
    """An open page, and what it has said and asked for so far. A test that expects an error takes it from `errors`."""

    page: Page
    site: str  # address that all others begin with
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def note(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.errors.append(f"a request to elsewhere: {request.url}")


class Visit(Protocol):
    """Opens `path` of a site: a folder, which is opened from disk, or the address of a server."""

    def __call__(
        self,
        site: Path | str,
        path: str,
        *,
        width: int = ...,
        height: int = ...,
        dark: bool = ...,
        scripts: bool = ...,
    ) -> Tab: ...


@contextmanager
def running() -> Iterator[Browser]:
    """This machine's Chromium, else the one that Playwright fetched. Raises FileNotFoundError where there is none."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(program).is_file():
            raise FileNotFoundError("there is no chromium; `make browser` fetches one")
        one = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield one
        one.close()


def open_tab(
    browser: Browser,
    site: Path | str,
    path: str,
    *,
    width: int = DESK_PX,
    height: int = 900,
    dark: bool = False,
    scripts: bool = True,
    before: str = "",
) -> Tab:
    """A new profile with one page, loaded. `before` runs ahead of the page's own scripts; the tab goes on listening."""
    address = f"{site.absolute().as_uri()}/" if isinstance(site, Path) else site
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(20_000)
    context.add_init_script(_TELL_VIOLATIONS + before)
    page = context.new_page()
    tab = Tab(page, address)
    page.on("console", tab.hear)
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    page.on("request", tab.note)
    page.goto(address + path)
    return tab


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a file."""
    with ExitStack() as stack:
        try:
            one = stack.enter_context(running())
        except FileNotFoundError as err:
            pytest.skip(str(err))
        yield one


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens pages; when the test is over none of them may have said an error."""
    tabs: list[Tab] = []

    def opened(site: Path | str, path: str, **settings: int | bool) -> Tab:
        tabs.append(open_tab(chromium, site, path, **settings))  # type: ignore[arg-type]
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.page.context.close()
    assert [error for tab in tabs for error in tab.errors] == []


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of the folder on a port of the loopback interface."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()
