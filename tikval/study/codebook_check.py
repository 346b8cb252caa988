"""What is wrong with a codebook that somebody wrote by hand: every fault at once, with its line and what to do."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import ValidationError

from tikval.codebook import Codebook, CodedValue, Guideline, Neighbour
from tikval.config import UserError, find_file, parse_yaml
from tikval.extract.calibration import FEWEST_EXAMPLES, FEWEST_NEUTRAL
from tikval.privacy import strip_handles
from tikval.prompt_text import render_prompt
from tikval.study.call_tokens import CHARACTERS_PER_TOKEN

GOOD_EXAMPLES: Final = 5  # of each stance: docs/codebook-guide.md has what fewer are worth
GUIDE: Final = "docs/codebook-guide.md"
STANCES: Final = ("endorsing", "confronting")
_KEYS: Final = {
    "values": CodedValue.model_fields,
    "guidelines": Guideline.model_fields,
    "distinct_from": Neighbour.model_fields,
}
_PROBLEMS: Final = {  # by pydantic's name of it
    "missing": "is missing",
    "string_type": "is not a text: put it into double quotes",
    "string_too_short": "is empty",
    "tuple_type": "is not a list: begin each of its lines with '- '",
    "model_type": "is not a list of keys and texts: see the template (tikval codebook template)",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
}

Place = tuple[str | int, ...]  # keys and places from the top of the file


class CodebookFault(NamedTuple):
    """Something to mend, or, where it is advice, to know: the codebook works as it is."""

    line: int | None  # from 1
    where: str
    message: str
    is_advice: bool = False


class CheckedCodebook(NamedTuple):
    faults: list[CodebookFault]  # in the order of the lines
    codebook: Codebook | None  # None: it cannot be read

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to mend."""
        return all(fault.is_advice for fault in self.faults)


def check_codebook(path: str) -> CheckedCodebook:
    """Every fault of a file. Raises UserError where there is no such file."""
    try:
        text = find_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        return _unread(f"not UTF-8 text (byte {err.start}); save it as UTF-8")
    try:
        data, root = parse_yaml(text), yaml.compose(text, yaml.SafeLoader)
    except ValueError as err:
        at = re.search(r"line (\d+)", str(err))
        return _unread(
            f"{err}; often a missing quote, or spaces at the line's start", int(at[1]) if at else None
        )
    if not isinstance(data, dict) or root is None:
        return _unread(f"not a codebook: it begins with name, version, source and values ({GUIDE})")
    codebook, faults = _validated(data)
    faults += [*_repeated_keys(root), *_odd_slugs(data), *_odd_texts(data)]
    if codebook:
        faults += _advice(codebook)
    elif not faults:  # the model refuses what none of the above has found
        faults += [(("values",), _refusal(data))]
    found = [CodebookFault(_line(root, place), _words(place, data), *rest) for place, *rest in faults]
    return CheckedCodebook(sorted(dict.fromkeys(found), key=lambda fault: fault.line or 0), codebook)


def _refusal(data: dict[str, Any]) -> str:
    try:
        Codebook.model_validate(data)
    except ValidationError as err:
        return "; ".join(wrong["msg"] for wrong in err.errors())
    return "cannot be read"


def _unread(message: str, line: int | None = None) -> CheckedCodebook:
    return CheckedCodebook([CodebookFault(line, "the file", message)], None)


_Found = tuple[Place, str] | tuple[Place, str, bool]


def _validated(data: dict[str, Any]) -> tuple[Codebook | None, list[_Found]]:
    """The codebook, and what its model says of the keys; what several values have to do with each other comes later."""
    try:
        return Codebook.model_validate(data), []
    except ValidationError as err:
        found: list[_Found] = []
        for wrong in err.errors():
            place = wrong["loc"]
            if place == ("values",) and wrong["type"] == "value_error":
                continue
            found.append((place, _problem(place, wrong["type"], wrong["msg"])))
        return None, found


def _problem(place: Place, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        within = next((part for part in reversed(place[:-1]) if isinstance(part, str)), None)
        known = _KEYS.get(str(within), Codebook.model_fields)
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        return (
            f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(known)}"
        )
    if place[-1] in STANCES and kind in ("missing", "too_short"):
        return f"there are no {place[-1]} examples; write at least one, better {GOOD_EXAMPLES}"
    if kind == "string_pattern_mismatch":
        more = " and _, a letter first" if place[-1] == "slug" else ", - and _"
        return f"may have small letters, digits{more}"
    return _PROBLEMS.get(kind, message)


def _repeated_keys(node: yaml.Node, place: Place = ()) -> Iterator[_Found]:
    """A key that is there twice: the first list of examples would vanish."""
    if isinstance(node, yaml.MappingNode):
        counts = Counter(key.value for key, _ in node.value)
        for key, child in node.value:
            if counts.pop(key.value, 1) > 1:
                yield (*place, key.value), "the key is there twice"
            yield from _repeated_keys(child, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for n, child in enumerate(node.value):
            yield from _repeated_keys(child, (*place, n))


def _values(data: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    values = data.get("values")
    return [(n, v) for n, v in enumerate(values) if isinstance(v, dict)] if isinstance(values, list) else []


def _odd_slugs(data: dict[str, Any]) -> Iterator[_Found]:
    """Slugs that are there twice or look alike, and neighbours that are no value."""
    slugs = [(n, str(value["slug"])) for n, value in _values(data) if value.get("slug")]
    names = [slug for _, slug in slugs]
    for at, (n, slug) in enumerate(slugs):
        for _, other in slugs[:at]:
            if slug == other:
                yield ("values", n, "slug"), f"{slug} is there twice"
            elif _look_alike(slug, other):
                yield ("values", n, "slug"), f"{slug} looks like {other}: columns would be mixed up"
    for n, value in _values(data):
        neighbours = value.get("distinct_from")
        for m, neighbour in enumerate(neighbours if isinstance(neighbours, list) else []):
            name = neighbour.get("slug") if isinstance(neighbour, dict) else None
            if name is not None and (name not in names or name == value.get("slug")):
                near = difflib.get_close_matches(str(name), [s for s in names if s != value.get("slug")], 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield ("values", n, "distinct_from", m, "slug"), f"{name} is no other value{hint}"


def _look_alike(one: str, other: str) -> bool:
    """Whether two names differ in nothing but one letter, a plural or their underscores."""
    a, b = (re.sub(r"_|s$", "", name) for name in (one, other))
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < 4:
        return False
    same = sum(
        block.size for block in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    )
    return same >= max(len(a), len(b)) - 1


def _odd_texts(data: dict[str, Any]) -> Iterator[_Found]:
    """Sentences that are there twice, and texts that name somebody."""
    seen: dict[str, list[Place]] = defaultdict(list)
    for place, text in _texts(data, ()):
        if strip_handles(text) != text:
            yield place, "names an account: write @someone, or leave it out"
        if "neutral" in place or any(stance in place for stance in STANCES):
            seen[" ".join(re.findall(r"\w+", text.casefold()))].append(place)
    for first, *others in seen.values():
        for place in others:
            yield place, f"the same sentence is in {_words(first, data)}: it would stand for both"


def _texts(part: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(part, str):
        yield place, part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _texts(value, (*place, key))
    elif isinstance(part, list):
        for n, value in enumerate(part):
            yield from _texts(value, (*place, n))


def _advice(codebook: Codebook) -> Iterator[_Found]:
    """What works, and would work better."""
    for n, value in enumerate(codebook.values):
        for stance in STANCES:
            count = len(getattr(value, stance))
            if count >= GOOD_EXAMPLES:
                continue
            much = f"{count} {stance} example{'s' * (count != 1)}"
            if count < FEWEST_EXAMPLES:
                does = f"below {FEWEST_EXAMPLES} the local extractor cannot set its threshold: not calibrated"
            else:
                does = "enough to set the local extractor's threshold, not to set it well"
            what = f"{much}: {does}; a language model takes any number. Better {GOOD_EXAMPLES} or more"
            yield ("values", n, stance), what, True
    if len(codebook.neutral) < FEWEST_NEUTRAL:
        count = len(codebook.neutral)
        yield (
            ("neutral",),
            f"{count} of {FEWEST_NEUTRAL} neutral sentences: general ones of tikval's join them",
            True,
        )


def _words(place: Place, data: Any) -> str:
    """A place as people name it: `care, endorsing, example 3`."""
    words, part = list[str](), data
    for at, key in enumerate(place):
        part = _child(part, key)
        if isinstance(key, str):
            words += [key] if key != "values" or at == len(place) - 1 else []
        elif place[at - 1] == "values":
            slug = part.get("slug") if isinstance(part, dict) else None
            words.append(str(slug) if slug else f"value {key + 1}")
        else:
            words.append(f"{'example' if place[at - 1] in STANCES else 'entry'} {key + 1}")
    return ", ".join(words) or "the file"


def _child(part: Any, key: str | int) -> Any:
    if isinstance(part, dict):
        return part.get(key)
    return part[key] if isinstance(part, list) and isinstance(key, int) and key < len(part) else None


def _line(node: yaml.Node | None, place: Place) -> int | None:
    """The line of a place, or of the nearest part around it that is there."""
    line = None
    for key in place:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == key]
            if not found:
                break
            name, node = found[-1]
            line = name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return line


def summary_of_codebook(codebook: Codebook) -> str:
    """What a codebook will do, in a line: values, labels, examples, how long its prompt is."""
    template = find_file("prompts/extract.txt").read_text(encoding="utf-8")
    tokens = len(render_prompt(codebook, template, "script")) / CHARACTERS_PER_TOKEN
    counts = [len(getattr(value, stance)) for value in codebook.values for stance in STANCES]
    some = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    n = len(codebook.values)
    return (
        f"{codebook.name}, version {codebook.version}: {n} value{'s' * (n != 1)}, {2 * n} labels (endorsed and "
        f"confronted), {some} examples of each, {len(codebook.neutral)} neutral sentences; as a prompt about "
        f"{round(tokens, -2):,.0f} tokens"
    )


def write_template(to: Path) -> None:
    """Write the commented template. Raises UserError for a file that is there already."""
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(template_text())
    except FileExistsError as err:
        raise UserError(f"{to}: is there already; name another file") from err
    except OSError as err:
        raise UserError(f"{to}: cannot be written ({err.strerror})") from err


def template_text() -> str:
    """A small commented codebook, to be changed into one's own."""
    return find_file("prompts/codebook_template.yaml").read_text(encoding="utf-8")
