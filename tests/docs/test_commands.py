"""Every command of the documents exists, with options that it has, and is run by a test or told not to be.

tests/docs/test_commands_run.py runs them.
"""

import ast
import re
import runpy
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tikval.cli.commands import app
from tikval.cli.job import JOBS
from tikval.config import load_config

ROOT = Path(__file__).parents[2]
COMMANDS = runpy.run_path(str(ROOT / "docs" / "commands.py"))
RULES = COMMANDS["rules"]()
ALL = list(dict.fromkeys(COMMANDS["commands"]()))
# commands within a sentence, which may leave out what does not matter there
INLINE = [
    (str(file.relative_to(ROOT)), text)
    for pattern in COMMANDS["PAGES"]
    for file in sorted(ROOT.glob(pattern))
    for text in re.findall(r"`(tikval [^`]+)`", " ".join(file.read_text(encoding="utf-8").split()))
]


@cache
def tikval_command(path: tuple[str, ...]) -> Any:
    """The command at the longest beginning of `path` that leads to one, and how many words that took."""
    command: Any = typer.main.get_command(app)
    for n, word in enumerate(path):
        if not hasattr(command, "commands"):
            return command, n
        if word not in command.commands:
            raise LookupError(f"tikval has no command {' '.join(path[: n + 1])}")
        command = command.commands[word]
    return command, len(path)


def problems(words: list[str]) -> list[str]:
    """What is wrong with a command line, as its own parser finds it."""
    if words[:3] == ["ray", "job", "submit"]:
        return problems(words[words.index("--") + 1 :]) if "--" in words else []
    if words[0].startswith(".venv/bin/"):
        return problems([words[0].removeprefix(".venv/bin/"), *words[1:]])
    if words[:3] == ["python", "-m", "tikval.cli"]:
        return problems(["tikval", *words[3:]])
    if words[0] == "tikval":
        return tikval_problems(words[1:])
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [f"make has no {word}" for word in words[1:] if "=" not in word and word not in targets]
    if words[:2] == ["python", "-m"]:
        name, rest = words[2], words[3:]
        return (
            job_problems(name[5:], rest)
            if name.startswith("jobs.")
            else script_problems(name.replace(".", "/"), rest)
        )
    if words[0] == "python":
        return script_problems(words[1].removesuffix(".py"), words[2:])
    return []


def tikval_problems(words: list[str]) -> list[str]:
    try:
        command, n = tikval_command(tuple(words))
        if getattr(command, "name", "") == "job":
            return job_problems(words[1], words[2:])
        command.make_context(command.name, words[n:])
    except Exception as err:
        return [f"{type(err).__name__}: {getattr(err, 'message', err)}"]
    return []


def job_problems(name: str, words: list[str]) -> list[str]:
    if name not in JOBS:
        return [f"no job {name}"]
    file, *overrides = [word for word in words if word != "--dry-run"]
    if "FINGERPRINT" in file or any(word.isupper() for one in overrides for word in re.findall(r"\w+", one)):
        return []
    known = [one.replace("my_policy.yaml", "prompts/codebook.yaml") for one in overrides]
    try:
        load_config(JOBS[name].config, str(ROOT / file), known)
    except Exception as err:
        return [str(err)]
    return []


def script_problems(name: str, words: list[str]) -> list[str]:
    file = next((one for one in (ROOT / f"{name}.py", ROOT / name / "__main__.py") if one.is_file()), None)
    if file is None:
        return [f"there is no {name}.py"]
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    options = {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    return [f"{name}.py has no {word}" for word in words if word.startswith("--") and word not in options]


@pytest.mark.parametrize("page", sorted({command.page for command in ALL}))
def test_the_commands_of_a_page_exist(page: str) -> None:
    wrong = []
    for command in (one for one in ALL if one.page == page):
        for part in re.split(r" && | \| | > ", command.text):
            wrong += [(command.text, problem) for problem in problems(shlex.split(part))]
    assert wrong == []


def test_commands_within_sentences_exist() -> None:
    wrong = []
    for page, text in INLINE:
        words = text.split()[1:]
        if not words[0].isalpha() or words == ["job", "NAME", "CONFIG.yaml", "[key=value", "...]"]:
            continue
        try:
            command, _ = tikval_command(tuple(word for word in words if not word.startswith("-")))
        except LookupError as err:
            wrong.append((page, text, str(err)))
            continue
        options = {
            name for one in getattr(command, "params", []) for name in [*one.opts, *one.secondary_opts]
        }
        wrong += [
            (page, text, word) for word in words if word.startswith("--") and word.rstrip(",") not in options
        ]
    assert wrong == []


def test_scripts_and_targets_within_sentences_exist() -> None:
    wrong = []
    for pattern in COMMANDS["PAGES"]:
        for file in sorted(ROOT.glob(pattern)):
            text = " ".join(file.read_text(encoding="utf-8").split())
            for found in re.findall(r"`((?:python (?:-m )?(?:benchmarks|docs|examples)|make )[^`]*)`", text):
                wrong += [(file.name, found, problem) for problem in problems(shlex.split(found))]
    assert wrong == []


def test_a_wrong_command_is_found() -> None:
    assert problems(shlex.split("tikval analyze clips --out out --no-such-option")) != []
    assert problems(shlex.split("tikval analyse clips --out out")) != []
    assert problems(shlex.split("tikval export out")) != []  # an argument is missing
    assert problems(shlex.split("python -m jobs.report configs/demo/report.yaml no_such_key=1")) != []
    assert problems(shlex.split("python benchmarks/coverage.py --no-such-option")) != []
    assert problems(shlex.split("make no-such-target")) != []
    assert problems(shlex.split("ray job submit --working-dir . -- python -m tikval.cli erase")) != []


def test_blocks_are_read_as_a_shell_reads_them() -> None:
    block = "```bash\na --b 'c # d'   # comment\ne \\\n  f\n\n# alone\ncat > x <<'EOF'\ninside\nEOF\ng '{\n h}'\n```\n"
    assert list(COMMANDS["of_page"](block)) == ["a --b 'c # d'", "e    f", "cat > x <<TEXT", "g '{ h}'"]


def test_every_rule_names_a_test_that_is_there_or_a_reason() -> None:
    for rule in RULES:
        assert (rule.run_by is None) != (rule.not_run is None), rule
        assert [command for command in ALL if COMMANDS["rule_of"](command, RULES) is rule], (
            f"of no use: {rule}"
        )
        if rule.run_by:
            file, _, name = rule.run_by.partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), rule


def test_what_is_no_command_of_tikval_has_a_rule() -> None:
    """tests/docs/test_commands_run.py runs those of tikval that have none."""
    alone = [one for one in ALL if COMMANDS["rule_of"](one, RULES) is None]
    assert [one for one in alone if not one.text.startswith("tikval ")] == [], (
        "say who runs it: docs/commands.yaml"
    )


def test_the_table_of_runs_is_up_to_date() -> None:
    assert COMMANDS["PAGE"].read_text(encoding="utf-8") == COMMANDS["runs"](), "run python docs/commands.py"
