"""The two steps that are hard by hand, for a server that ./start.sh has started. It lies there, and needs Python alone.

python3 steps.py set-up ann [port]     makes ann's project on ann's server
python3 steps.py export ann [port]     writes ann.json, which has what was skipped, too
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

KINDS = ("videos", "pictures", "pictures-without-sound")


class LabelStudio:
    """The server of one coder, on this machine."""

    def __init__(self, folder: Path, coder: str, port: str) -> None:
        self.folder, self.coder, self.port = folder, coder, port
        try:
            lines = (folder / coder / "login.env").read_text(encoding="utf-8").splitlines()
        except OSError:
            sys.exit(f"{coder}: no such coder in {folder}")
        self.login = dict(line.partition("=")[::2] for line in lines)

    def ask(self, path: str, content: Any = None) -> Any:
        """What the server answers, as JSON; with `content` it is posted."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Authorization": f"Token {self.login['LABEL_STUDIO_USER_TOKEN']}",
                "Content-Type": "application/json",
            },
        )
        try:
            # a proxy of this machine is not asked for this machine
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as err:
            sys.exit(
                f"{path}: the server refuses ({err.code}): {err.read()[:500].decode('utf-8', 'replace')}"
            )
        except OSError as err:
            sys.exit(
                f"no server at port {self.port} ({err}); start it first: ./start.sh {self.coder} {self.port}"
            )

    def projects(self) -> dict[str, int]:
        """The numbers of this coder's projects, by kind."""
        there = {one["title"]: one["id"] for one in self.ask("projects?page_size=100")["results"]}
        return {kind: there[kind] for kind in KINDS if kind in there}

    def set_up(self) -> None:
        there = self.projects()
        for kind in KINDS:
            config, tasks = (self.folder / self.coder / f"{kind}.{end}" for end in ("xml", "json"))
            if not config.exists():
                continue
            if kind in there:
                print(f"{kind}: is there already, and stays as it is")
                continue
            about = {
                "title": kind,
                "label_config": config.read_text(encoding="utf-8"),
                "show_skip_button": True,
            }
            number = self.ask("projects", about)["id"]
            # never synced: a sync would make a second task of each file
            clips = {"project": number, "path": str(self.folder / "media" / "clips"), "use_blob_urls": True}
            self.ask("storages/localfiles", clips | {"title": "clips", "regex_filter": ".*"})
            found = self.ask(f"projects/{number}/import", json.loads(tasks.read_text(encoding="utf-8")))
            print(
                f"{kind}: {found['task_count']} to code: http://127.0.0.1:{self.port}/projects/{number}/data"
            )

    def export(self) -> None:
        there = self.projects()
        if not there:
            sys.exit(f"nothing is set up on this server: python3 steps.py set-up {self.coder} {self.port}")
        tasks = []
        for number in there.values():
            tasks += self.ask(f"projects/{number}/export?exportType=JSON&download_all_tasks=true")
        place = self.folder / f"{self.coder}.json"
        place.write_text(json.dumps(tasks), encoding="utf-8")
        done = sum(bool(task["annotations"]) for task in tasks)
        print(f"{done} of {len(tasks)} were coded or skipped: {place}")


def main(arguments: list[str]) -> None:
    steps = {"set-up": LabelStudio.set_up, "export": LabelStudio.export}
    if len(arguments) not in (2, 3) or arguments[0] not in steps:
        sys.exit(__doc__)
    step, coder, port = (*arguments, "8080")[:3]
    steps[step](LabelStudio(Path(__file__).resolve().parent, coder, port))


if __name__ == "__main__":
    main(sys.argv[1:])
