"""A project for Potato 2.12: one server for all coders and the third, who decides at /adjudicate."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.sheet import SheetItem, SheetQuestion, questions_of
from tikval.annotate.tools.task_answers import ANSWER_WORDS, NOTE, task_name
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

POTATO: Final = "potato-annotation==2.12.1"
_OWN_FOLDERS: Final = frozenset({"adjudication", "exports", "pocket"})  # of annotation_output
_FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {
        "key": "video_url",
        "type": "video",
        "label": "Video",
        "display_options": {"max_width": 360, "controls": True},
    },
    {"key": "pictures", "type": "gallery", "label": "Pictures", "display_options": {"layout": "vertical"}},
    {"key": "sound_url", "type": "audio", "label": "Sound"},
    {"key": "text", "type": "text", "label": "Caption"},
    {"key": "script", "type": "text", "label": "Script", "display_options": {"collapsible": True}},
)
_START: Final = """#!/bin/sh
# Potato on this machine alone: http://127.0.0.1:8000, or another port: ./start.sh 8001. Ctrl+C ends it.
cd "$(dirname "$0")" && exec potato start config.yaml --host 127.0.0.1 --port "${1:-8000}"
"""
_README: Final = """# Potato: {title}

{coders} code here, and {third} decides where they disagree. Nobody sees the others' names.

1. Install Potato once: `python3 -m venv potato-program && potato-program/bin/pip install {potato}`, and make it
   known: `export PATH="$PWD/potato-program/bin:$PATH"`.
2. Start it: `./start.sh` (without a shell: `potato start config.yaml --host 127.0.0.1 --port 8000`). Leave it running.
3. Open http://127.0.0.1:8000 on this machine. The passwords are in `users.jsonl`: tell each coder only their own.
4. Each coder signs in and gets the videos that the plan gives them, in their own order. Every value needs an answer;
   what is not certain is `not_sure`. An answer can be changed by going back. Pointing at an answer shows examples.
5. When all are done, {third} signs in and is led to `/adjudicate`: the videos on which the answers differ.
6. Read the answers: `tikval annotate merge CODING_FOLDER THIS_FOLDER`.

## Beware
* **Never leave out `--host 127.0.0.1`**: Potato would listen to the whole network, and it hands out videos without
  asking for a password. Their names in `media/` are random, which is all that protects them. Coders elsewhere come
  through a tunnel (`ssh -L 8000:127.0.0.1:8000 this-machine`).
* `annotation_output/*/annotation_history.jsonl` has every click with time, browser and address. Share it with nobody.
  tikval does not read it.
* `admin_api_key.txt`, which Potato writes when it starts, opens everything: `chmod 600 admin_api_key.txt`.
* `media/` holds the videos. Delete this folder when the answers are merged.
"""


def potato_project(
    plan: Sequence[PlanLine],
    items: Mapping[str, SheetItem],
    codebook: Codebook,
    *,
    coders: Sequence[str],
    third: str,
    passwords: Mapping[str, str],
) -> ToolProject:
    """The project of these coders' lines; `passwords` by name, the third's too.

    What is coded a second time is a task of its own for each coder. Raises UserError for a coder whose name Potato has
    given to a folder of its own.
    """
    lines = coded_lines(plan, coders)
    if taken := _OWN_FOLDERS & {*lines, third}:
        raise UserError(
            f"coder {min(taken)}: Potato has a folder of this name; use the sheet, or another name"
        )
    media, left_out = MediaNames("media"), set[str]()
    tasks: dict[str, dict[str, Any]] = {}
    groups = []
    for number, (coder, own) in enumerate(lines.items(), start=1):
        names = []
        for line in own:
            item = items.get(line.item)
            shown = media.of_item(item) if item else None
            if item is None or shown is None:
                left_out.add(line.item)
                continue
            name = task_name(line.item, line.round, number)
            tasks.setdefault(name, _task(name, line, item, shown, codebook))
            names.append(name)
        groups.append({"name": coder, "annotators": [coder], "instances": names})
    title = f"{codebook.name} {codebook.version}"
    users = [json.dumps({"username": name, "password": passwords[name]}) for name in (*lines, third)]
    about = {"title": title, "coders": ", ".join(lines), "third": third, "potato": POTATO}
    files = {
        "config.yaml": _config(codebook, title, list(tasks.values()), groups, [*lines, third]),
        "data/videos.jsonl": "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks.values()),
        "users.jsonl": "".join(f"{user}\n" for user in users),
        "start.sh": _START,
        "README.md": _README.format(**about),
    }
    places = {place: file for file, place in media.places.items()}
    return ToolProject(files, places, {"users.jsonl"}, {"start.sh"}, sorted(left_out))


def _task(name: str, line: PlanLine, item: SheetItem, files: TaskMedia, codebook: Codebook) -> dict[str, Any]:
    return {
        "id": name,
        "video_id": line.item,
        "round": line.round,
        "codebook": codebook.mark,
        "text": inert_text(item.caption),
        "script": inert_text(item.script),
        # a field that one task lacks is shown of none
        "video_url": f"/media/{files.video}" if files.video else "",
        "pictures": [f"/media/{picture}" for picture in files.pictures],
        "sound_url": f"/media/{files.sound}" if files.sound else "",
    }


def _config(
    codebook: Codebook,
    title: str,
    tasks: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    people: Sequence[str],
) -> str:
    """The text of config.yaml; what is not needed of the five fields is not shown."""
    shown = [field for field in _FIELDS if any(task[field["key"]] for task in tasks)]
    config = {
        "annotation_task_name": title,
        "task_dir": ".",
        "output_annotation_dir": "annotation_output",
        "media_directory": "media",
        "data_files": ["data/videos.jsonl"],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "require_password": True,
        "authentication": {"method": "in_memory", "user_config_path": "users.jsonl"},
        "user_config": {"allow_all_users": False, "users": list(people)},
        "assignment_strategy": "batch",
        "batch_assignment": {"groups": list(groups)},
        "instance_display": {"fields": shown},
        "annotation_schemes": _schemes(codebook),
        "layout": {
            "grid": {"columns": 1},
            "groups": [*_headings(codebook), {"id": "note", "schemas": [NOTE]}],
        },
        "adjudication": {
            "enabled": True,
            "adjudicator_users": [people[-1]],
            "min_annotations": 2,
            "agreement_threshold": 1.0,
            "show_annotator_names": False,
            "show_agreement_scores": False,
            "show_timing_data": False,
            "require_confidence": False,
        },
    }
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)


def _schemes(codebook: Codebook) -> list[dict[str, Any]]:
    """A question for each value, and a field for the coder's note."""
    note = {"annotation_type": "text", "name": NOTE, "description": "Note"}
    return [*map(_radio, questions_of(codebook)), note]


def _headings(codebook: Codebook) -> list[dict[str, Any]]:
    sections = [
        {"title": inert_template(title), "schemas": [value.slug for value in values]}
        for title, values in codebook.sections.items()
    ]
    return [{"id": f"section_{n}", **each} for n, each in enumerate(sections, start=1)]


def _radio(question: SheetQuestion) -> dict[str, Any]:
    hints = {word: hint_of(question, word) for word in ANSWER_WORDS}
    return {
        "annotation_type": "radio",
        "name": question.slug,
        "description": f"{inert_template(question.title)}: {lead_of(question)}",
        "labels": [{"name": word, "tooltip": hints[word]} if hints[word] else word for word in ANSWER_WORDS],
        "horizontal": True,
        "label_requirement": {"required": True},
        "sequential_key_binding": False,
    }
