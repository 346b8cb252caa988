"""Projects for Label Studio 1.23: a server of its own for each coder, since whoever signs in to one sees all of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.sheet import SheetItem, SheetQuestion, questions_of
from tikval.annotate.tools import label_studio_steps
from tikval.annotate.tools.task_answers import ANSWER_WORDS, NOTE
from tikval.annotate.tools.tool_project import (
    MediaNames,
    TaskMedia,
    ToolProject,
    coded_lines,
    hint_of,
    inert_template,
    inert_text,
    lead_of,
)
from tikval.codebook import Codebook
from tikval.config import UserError

LABEL_STUDIO: Final = "label-studio==1.23.2"
FLAT_COLUMNS: Final = frozenset(  # of JSON_MIN and CSV, beside the questions
    "id annotator annotation_id created_at updated_at lead_time video pictures sound caption script video_id round "
    "coder codebook".split()
)
_SOUND: Final = '  <Audio name="sound_of_post" value="$sound"/>\n'
_SHOWN: Final = {  # kind of project -> what is coded; the answers belong to "video"
    "videos": '  <Video name="video" value="$video"/>\n',
    "pictures": '  <Image name="video" valueList="$pictures"/>\n' + _SOUND,
    "pictures-without-sound": '  <Image name="video" valueList="$pictures"/>\n',
}
_FILE: Final = "/data/local-files/?d=clips/"  # as the server hands out the files of media/clips
_START: Final = """#!/bin/sh
# Label Studio of one coder, on this machine alone: ./start.sh ann, or with another port: ./start.sh ann 8081.
# Ctrl+C ends it. It asks no other machine for anything.
set -e
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/${1:?whose? ./start.sh ann}/login.env"
export LABEL_STUDIO_USERNAME LABEL_STUDIO_PASSWORD LABEL_STUDIO_USER_TOKEN
export LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK=true
export LATEST_VERSION_CHECK=false COLLECT_ANALYTICS=False SENTRY_DSN= FRONTEND_SENTRY_DSN=
export LOCAL_FILES_SERVING_ENABLED=true LOCAL_FILES_DOCUMENT_ROOT="$folder/media"
umask 077
exec label-studio start --no-browser --internal-host 127.0.0.1 --port "${2:-8080}" --data-dir "$folder/$1/server"
"""
_README: Final = """# Label Studio: {title}

{coders} code here, each with a server of their own: Label Studio shows every project to everybody who signs in to one
server, so that two coders on one would see each other's answers. It has no third who decides: that is done in tikval.

1. Install Label Studio once: `python3 -m venv label-studio-program && label-studio-program/bin/pip install
   {label_studio}` (a few minutes, 1 GB), and make it known: `export PATH="$PWD/label-studio-program/bin:$PATH"`.
2. Start a coder's server and leave it running: `./start.sh {first}`. The first start takes a minute or more. A second
   coder at the same time has another port: `./start.sh {second} 8081`.
3. Once for each coder, in another window: `python3 steps.py set-up {first}` (`python3 steps.py set-up {second} 8081`).
   It makes the project with its videos. By hand this is the step at which most people fail: clips answer "404" until
   the project has a storage of *local files* whose folder is a sub-folder (`media/clips`) of the root. Never sync it.
4. Open http://127.0.0.1:8080 on this machine. Address and password of the coder are in `{first}/login.env`.
5. The coder opens the project, then "Label All Tasks". Every value needs an answer; what is not certain is `not_sure`.
   "Skip" leaves a video without answers. An answer is changed with "Update".
6. When a coder is done: `python3 steps.py export {first}` writes `{first}.json`; put it into the folder `returned` of
   the coding folder. By hand: "Export", and there **JSON**. JSON-MIN and CSV leave out what was skipped, and do not say
   so.
7. Read the answers: `tikval annotate merge CODING_FOLDER`, which also writes the sheet of the third.

## Beware
* `--internal-host 127.0.0.1` in `start.sh` keeps the server on this machine; without it the whole network reaches it.
* Every browser plays MP4 with H.264 and AAC; some play nothing else.
* `*/server` holds the answers, `media` the videos. Delete this folder when the answers are merged.
"""


def label_studio_projects(
    plan: Sequence[PlanLine],
    items: Mapping[str, SheetItem],
    codebook: Codebook,
    *,
    coders: Sequence[str],
    passwords: Mapping[str, str],
    tokens: Mapping[str, str],
) -> ToolProject:
    """A folder for each coder: interface and tasks of a project of videos, and of one of pictures where there are any.

    `passwords` and `tokens` (40 hexadecimal digits) by coder. Raises UserError for a value whose slug is a column of
    Label Studio's exports.
    """
    if taken := FLAT_COLUMNS & set(codebook.slugs):
        raise UserError(
            f"value {min(taken)}: Label Studio has a column of this name; use the sheet, or Potato"
        )
    lines = coded_lines(plan, coders)
    media, left_out = MediaNames("media/clips"), set[str]()
    title = f"{codebook.name} {codebook.version}"
    names = [*lines, *lines]
    about = {"title": title, "coders": ", ".join(lines), "first": names[0], "second": names[1]}
    project = ToolProject(
        files={
            "start.sh": _START,
            "steps.py": Path(label_studio_steps.__file__).read_text(encoding="utf-8"),
            "README.md": _README.format(**about, label_studio=LABEL_STUDIO),
        },
        programs={"start.sh"},
    )
    for number, (coder, own) in enumerate(lines.items(), start=1):
        tasks: dict[str, list[Any]] = {}
        for line in own:
            item = items.get(line.item)
            shown = media.of_item(item) if item else None
            if item is None or shown is None:
                left_out.add(line.item)
                continue
            tasks.setdefault(_kind(shown), []).append({"data": _task_data(line, item, shown, codebook)})
        for kind, of_kind in tasks.items():
            project.files[f"{coder}/{kind}.xml"] = label_config(codebook, kind, script=_any_script(of_kind))
            project.files[f"{coder}/{kind}.json"] = json.dumps(of_kind, ensure_ascii=False, indent=1)
        login = {"USERNAME": f"coder{number}@localhost.invalid", "PASSWORD": passwords[coder]}
        login["USER_TOKEN"] = tokens[coder]
        project.files[f"{coder}/login.env"] = "".join(
            f"LABEL_STUDIO_{name}={value}\n" for name, value in login.items()
        )
        project.secret.add(f"{coder}/login.env")
    project.media.update({place: file for file, place in media.places.items()})
    project.left_out.extend(sorted(left_out))
    return project


def _kind(shown: TaskMedia) -> str:
    if shown.video:
        return "videos"
    return "pictures" if shown.sound else "pictures-without-sound"


def _task_data(line: PlanLine, item: SheetItem, shown: TaskMedia, codebook: Codebook) -> dict[str, Any]:
    """What a task is about; all of it comes back in an export, so that an answer tells whose it is and to what."""
    files: dict[str, Any] = {"video": f"{_FILE}{shown.video}"} if shown.video else {}
    if shown.pictures:
        files["pictures"] = [f"{_FILE}{picture}" for picture in shown.pictures]
    if shown.sound:
        files["sound"] = f"{_FILE}{shown.sound}"
    about = {"video_id": line.item, "round": line.round, "coder": line.coder, "codebook": codebook.mark}
    return files | about | {"caption": inert_text(item.caption), "script": inert_text(item.script)}


def _any_script(tasks: Sequence[Mapping[str, Any]]) -> bool:
    return any(task["data"]["script"] for task in tasks)


def label_config(codebook: Codebook, kind: str, *, script: bool) -> str:
    """The labelling interface of a project as XML: each value under its heading, one answer to each, and a note."""
    parts = ["<View>\n", _SHOWN[kind], '  <Text name="caption_of_post" value="$caption" valueType="text"/>\n']
    if script:
        parts.append('  <Text name="script_of_post" value="$script" valueType="text"/>\n')
    section = ""
    for question in questions_of(codebook):
        if question.section != section:
            section = question.section
            parts.append(f'  <Header size="2" value={_attribute(section)}/>\n')
        parts.append(_choices(question))
    note = '  <Header size="4" value="Note"/>\n'
    area = f'  <TextArea name="{NOTE}" toName="video" rows="2" maxSubmissions="1" editable="true"/>\n'
    return "".join([*parts, note, area, "</View>\n"])


def _choices(question: SheetQuestion) -> str:
    answers = "".join(
        f'<Choice value="{word}"{f" hint={_attribute(hint)}" if (hint := hint_of(question, word)) else ""}/>'
        for word in ANSWER_WORDS
    )
    return (
        f'  <Header size="4" value={_attribute(question.title)}/>\n'
        f'  <Header size="6" value={_attribute(lead_of(question))}/>\n'
        f'  <Choices name="{question.slug}" toName="video" choice="single-radio" showInline="true" required="true">\n'
        f"    {answers}\n  </Choices>\n"
    )


def _attribute(text: str) -> str:
    return quoteattr(inert_template(text))
