"""The real servers, from PyPI: two coders and a third answer three videos through HTTP, and merge as with our sheets.

Both are installed once, into a virtual environment of their own: in the folder TIKVAL_TOOLS, else below the cache. They
listen on this machine alone. Label Studio takes a few minutes.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import pytest
from typer.testing import CliRunner

from tests.annotate.coding_folders import make_coding_folder
from tikval.annotate.coding import Coding, Round, coding_csv
from tikval.annotate.coding_folder import CodingFolder, PlanLine
from tikval.annotate.sheet import SheetItem
from tikval.annotate.tools.label_studio import read_label_studio
from tikval.annotate.tools.label_studio_project import LABEL_STUDIO
from tikval.annotate.tools.potato import read_potato
from tikval.annotate.tools.potato_project import POTATO
from tikval.cli.commands import app
from tikval.codebook import load_codebook
from tikval.hub.bundled import cache
from tikval.sources.tables import open_table
from tikval.values import NOT_ANSWERED, SLUGS

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

CODEBOOK = load_codebook(Path("prompts/codebook.yaml"))
CAPTION = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> {{7*7}} $video ]]>"
ABSENT = dict.fromkeys(SLUGS, "absent")
ANSWERS: dict[tuple[str, str, Round], dict[str, str]] = {  # by coder, item and round
    ("ann", "71", "main"): ABSENT | {"hedonism": "endorsed", "face": "confronted"},
    ("ann", "0072", "main"): ABSENT | {"stimulation": "dominant"},
    ("ann", "71", "again"): ABSENT | {"hedonism": "dominant"},
    ("bob", "71", "main"): ABSENT | {"face": "confronted"},
    ("bob", "0072", "main"): ABSENT | {"stimulation": "dominant", "humility": "not_sure"},
    ("bob", "73", "main"): ABSENT | {"face": "endorsed"},
}  # ann skips 73
DECIDED = {"71": {"hedonism": "endorsed"}, "0072": {"humility": "absent"}}
NOTE = 'a "note", with <b>'


@pytest.fixture
def coding(tmp_path: Path) -> CodingFolder:
    """A coding folder of three videos, of which ann codes one a second time."""
    orders = {"ann": ("0072", "71", "73"), "bob": ("73", "71", "0072")}
    plan = [
        PlanLine(item, coder, "main", place, None, "")
        for coder, items in orders.items()
        for place, item in enumerate(items, start=1)
    ]
    videos = [SheetItem(item, "main", (f"../../clips/{item}.mp4",), CAPTION) for item in orders["ann"]]
    return make_coding_folder(
        tmp_path / "coding", [*plan, PlanLine("71", "ann", "again", 4, None, "")], videos
    )


def installed(requirement: str, program: str) -> Path:
    """The folder with a tool's programs, installed if it is not."""
    root = Path(os.environ.get("TIKVAL_TOOLS") or cache() / "tools")
    made = root / requirement.replace("==", "-")
    if not (made / "bin" / program).exists():
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        subprocess.run([made / "bin" / "pip", "install", "-q", requirement], check=True)
    return made / "bin"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, programs: Path, port: int) -> Iterator[str]:
    """A server from its start to its end, and its address."""
    path = f"{programs}:{os.environ['PATH']}"
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | {"PATH": path}
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        for _ in range(1200):
            assert server.poll() is None, (folder / "server.log").read_text(errors="replace")[-3000:]
            with socket.socket() as one:
                one.settimeout(1)
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


class Browser:
    """Somebody who uses a server; cookies are kept."""

    def __init__(self, address: str, headers: Mapping[str, str] | None = None) -> None:
        self.address, self.headers = address, dict(headers or {})
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def ask(self, path: str, content: Any = None, *, method: str | None = None) -> tuple[int, str]:
        """The status and text of an answer; a dict is sent as JSON, a text as a form."""
        form = isinstance(content, str)
        data = None if content is None else (content if form else json.dumps(content)).encode()
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = self.headers | ({"Content-Type": kind} if data else {})
        request = Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with self.opener.open(request, timeout=120) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except HTTPError as err:
            return err.code, err.read().decode("utf-8", "replace")


def project_of(coding: CodingFolder, tool: str, to: Path) -> None:
    command = ["annotate", "project", str(coding.path), "--tool", tool, "--to", str(to)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output


def merged(coding: CodingFolder, paths: list[Path]) -> tuple[str, str, list[list[str | None]]]:
    """What merge makes of answers: labels, where each came from, and what each coder answered in each round."""
    done = CliRunner().invoke(app, ["annotate", "merge", str(coding.path), *map(str, paths)])
    assert done.exit_code == 1, done.output  # ann has skipped a video
    assert "not begun by ann" in done.output
    assert "left out" not in done.output
    labels, origins, coders = (
        coding.path / "merged" / f"{name}.csv" for name in ("labels", "origins", "coders")
    )
    own = [[row[name] for name in ("video_id", "annotator", *SLUGS)] for _, row in open_table(str(coders))]
    given = [row for row in own if set(row[2:]) != {NOT_ANSWERED}]
    return labels.read_text(), origins.read_text(), sorted(given, key=str)


def by_key(codings: list[Coding]) -> dict[tuple[str, str, str], tuple[dict[str, str], str]]:
    return {(one.coder, one.item, one.round): (dict(one.answers), one.note) for one in codings}


def of_sheets(coding: CodingFolder, folder: Path) -> Any:
    """What merge makes of the same answers in the tables of our sheets."""
    folder.mkdir()
    made = [Coding(item, coder, round_, answers) for (coder, item, round_), answers in ANSWERS.items()]
    made += [Coding(item, "cem", "main", answers) for item, answers in DECIDED.items()]
    paths = []
    for coder in ("ann", "bob", "cem"):
        paths.append(folder / f"{coder}.csv")
        paths[-1].write_text(coding_csv([one for one in made if one.coder == coder], SLUGS))
    return merged(coding, paths)


def test_potato(coding: CodingFolder, tmp_path: Path) -> None:
    programs = installed(POTATO, "potato")
    place = tmp_path / "potato"
    project_of(coding, "potato", place)
    users = map(json.loads, (place / "users.jsonl").read_text().splitlines())
    passwords = {user["username"]: user["password"] for user in users}
    tasks = [json.loads(line) for line in (place / "data" / "videos.jsonl").read_text().splitlines()]
    port = free_port()
    with running(["./start.sh", str(port)], place, programs, port) as address:
        people = {name: potato_login(address, name, password) for name, password in passwords.items()}
        potato_refuses(address, tasks)
        status, page = people["ann"].ask("/annotate")
        assert (status, page.count("annotation-form radio")) == (200, len(SLUGS))
        assert "script>alert" not in page
        assert "onerror=alert(2)>" not in page
        potato_answers(people, {(task["video_id"], task["round"]): task["id"] for task in tasks})
        potato_decides(people)
    assert merged(coding, [place]) == of_sheets(coding, tmp_path / "sheets")
    exported = potato_exports(place, programs)
    from_folder = {
        (one.coder, one.item, one.round): (dict(one.answers), one.note)
        for one in read_potato(place, CODEBOOK)
    }
    for form in ("csv", "jsonl"):
        again = [*read_potato(exported / form, CODEBOOK), *read_potato(exported / "adjudication", CODEBOOK)]
        # the table of decisions has no notes of the third's
        assert {
            (one.coder, one.item, one.round): (dict(one.answers), one.note) for one in again
        } == from_folder


def potato_login(address: str, name: str, password: str) -> Browser:
    browser = Browser(address)
    _, page = browser.ask("/auth", urlencode({"email": name, "pass": "wrong"}))
    assert "Invalid user ID or password" in page
    _, page = browser.ask("/annotate")
    assert 'name="pass"' in page, "a wrong password has led in"
    _, page = browser.ask("/auth", urlencode({"email": name, "pass": password}))
    assert 'name="pass"' not in page
    return browser


def potato_refuses(address: str, tasks: list[dict[str, Any]]) -> None:
    """What Potato refuses to strangers; and that it does not refuse videos, which is why their names are random."""
    stranger = Browser(address)
    _, page = stranger.ask(
        "/register", urlencode({"action": "signup", "email": "eve", "pass": "long-enough-1"})
    )
    assert "Unauthorized user" in page
    assert stranger.ask("/updateinstance", {"instance_id": "71", "annotations": {}})[0] == 401
    assert stranger.ask(tasks[0]["video_url"])[0] == 200
    assert stranger.ask(f"/media/{tasks[0]['video_id']}.mp4")[0] == 404


def potato_answers(people: dict[str, Browser], ids: dict[tuple[str, str], str]) -> None:
    for (coder, item, round_), answers in ANSWERS.items():
        task = ids[item, round_]
        for answer in (answers | {"face": "endorsed"}, answers):  # and changed
            labels = {f"{slug}:::{word}": word for slug, word in answer.items()}
            if (coder, item) == ("ann", "0072"):
                labels["Note:::text_box"] = NOTE
            status, text = people[coder].ask("/updateinstance", {"instance_id": task, "annotations": labels})
            assert (status, json.loads(text)["status"]) == (200, "success"), text
    other = {"instance_id": ids["71", "again"], "annotations": {"face:::absent": "absent"}}
    assert people["bob"].ask("/updateinstance", other)[0] == 403, "bob answers what ann has"


def potato_decides(people: dict[str, Browser]) -> None:
    assert people["ann"].ask("/adjudicate/api/queue")[0] == 403
    _, text = people["cem"].ask("/adjudicate/api/queue")
    assert {item["instance_id"] for item in json.loads(text)["items"]} == set(DECIDED)
    assert '"ann"' not in text
    assert '"bob"' not in text
    for item, decided in DECIDED.items():
        source = dict.fromkeys(decided, "adjudicator")
        content = {"instance_id": item, "label_decisions": decided, "source": source}
        status, text = people["cem"].ask("/adjudicate/api/submit", content)
        assert (status, json.loads(text)["status"]) == (200, "ok"), text


def potato_exports(place: Path, programs: Path) -> Path:
    for form in ("csv", "jsonl", "adjudication"):
        command = ["-m", "potato.export", "-c", "config.yaml", "-f", form, "-o", f"exported/{form}"]
        subprocess.run([programs / "python", *command], cwd=place, check=True, capture_output=True)
    return place / "exported"


def test_label_studio(coding: CodingFolder, tmp_path: Path) -> None:
    programs = installed(LABEL_STUDIO, "label-studio")
    place = tmp_path / "label-studio"
    project_of(coding, "label-studio", place)
    for coder in ("ann", "bob"):
        port = free_port()
        with running(["./start.sh", coder, str(port)], place, programs, port) as address:
            for _ in range(2):  # a second time changes nothing
                steps(place, "set-up", coder, port)
            token = dict(
                line.partition("=")[::2] for line in (place / coder / "login.env").read_text().splitlines()
            )
            person = Browser(address, {"Authorization": f"Token {token['LABEL_STUDIO_USER_TOKEN']}"})
            label_studio_refuses(address, person, place / coder)
            label_studio_answers(person, coder)
            steps(place, "export", coder, port)
            for form in ("JSON_MIN", "CSV"):
                path = f"/api/projects/1/export?exportType={form}&download_all_tasks=true"
                suffix = "csv" if form == "CSV" else "json"
                (tmp_path / f"{coder}-{form}.{suffix}").write_text(person.ask(path)[1])
    notes: list[str] = []
    [one, two] = [
        read_label_studio(place / f"{coder}.json", CODEBOOK, say=notes.append) for coder in ("ann", "bob")
    ]
    assert [text.partition(": ")[2] for text in notes] == [
        "1 task skipped: read as not answered",
        "a model's answer stood on 1 task: these answers may not be blind",
    ]
    for coder, codings in (("ann", one), ("bob", two)):
        answered = [one for one in codings if one.answers]
        assert answered != codings if coder == "ann" else answered == codings
        for flat in (tmp_path / f"{coder}-JSON_MIN.json", tmp_path / f"{coder}-CSV.csv"):
            assert read_label_studio(flat, CODEBOOK, say=notes.append) == answered
    third = tmp_path / "cem.csv"
    third.write_text(coding_csv([Coding(i, "cem", "main", answers) for i, answers in DECIDED.items()], SLUGS))
    paths = [place / "ann.json", place / "bob.json", third]
    assert merged(coding, paths) == of_sheets(coding, tmp_path / "sheets")
    assert [one.note for one in one if one.note] == [NOTE]


def steps(place: Path, step: str, coder: str, port: int) -> None:
    subprocess.run([sys.executable, "steps.py", step, coder, str(port)], cwd=place, check=True)


def label_studio_refuses(address: str, person: Browser, folder: Path) -> None:
    video = json.loads((folder / "videos.json").read_text())[0]["data"]["video"]
    assert person.ask(video)[0] == 200
    stranger = Browser(address)
    assert stranger.ask(video)[0] == 401
    assert stranger.ask("/api/projects")[0] == 401
    _, page = stranger.ask("/user/signup/")
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found, "no form"
    form = {"csrfmiddlewaretoken": found[1], "email": "eve@example.org", "password": "long-enough-1"}
    status, page = stranger.ask("/user/signup/", urlencode(form))
    assert status == 403
    assert "CSRF" not in page


def label_studio_answers(person: Browser, coder: str) -> None:
    tasks = json.loads(person.ask("/api/tasks?project=1&page_size=100")[1])["tasks"]
    of_plan = sum(one == coder for one, _, _ in ANSWERS) + (coder == "ann")
    assert len(tasks) == of_plan, "a task is there twice"
    for task in tasks:
        data = task["data"]
        answers = ANSWERS.get((coder, data["video_id"], data["round"]))
        if (coder, data["video_id"]) == ("bob", "73"):
            model = {"task": task["id"], "model_version": "m", "result": [choice("face", "endorsed")]}
            assert person.ask("/api/predictions/", model)[0] == 201
        path = f"/api/tasks/{task['id']}/annotations/"
        if answers is None:
            assert person.ask(path, {"result": [], "was_cancelled": True})[0] == 201
            continue
        first = [choice(slug, word) for slug, word in (answers | {"face": "endorsed"}).items()]
        status, text = person.ask(path, {"result": first, "lead_time": 12.5})
        assert status == 201, text
        changed = [choice(slug, word) for slug, word in answers.items()]
        if (coder, data["video_id"]) == ("ann", "0072"):
            value = {"text": [NOTE]}
            changed.append({"from_name": "Note", "to_name": "video", "type": "textarea", "value": value})
        number = json.loads(text)["id"]
        assert person.ask(f"/api/annotations/{number}/", {"result": changed}, method="PATCH")[0] == 200


def choice(question: str, word: str) -> dict[str, Any]:
    value = {"choices": [word]}
    return {
        "id": f"r_{question}",
        "from_name": question,
        "to_name": "video",
        "type": "choices",
        "value": value,
    }
