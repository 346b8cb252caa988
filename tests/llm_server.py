"""A language model's server over real HTTP on the loopback interface: Gemini's protocol and OpenAI's.

    python -m tests.llm_server --journal calls.jsonl --faults 0.2 --latency 0.1     prints its address

It knows what it billed: the journal has one line for every request that came in, written before the reply goes out.
What goes wrong is decided by rules over what is asked, so that a run can be repeated.
"""

import argparse
import base64
import hashlib
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tikval.llm.client import Usage
from tikval.llm.prices import Price, load_prices

VIDEO_TOKENS = 300  # of one video, 32 of them sound


class Ask(NamedTuple):
    """What a rule or an answer may look at."""

    kind: str  # generate, chat, count, upload, file or delete
    prompt: str
    content_sha: str | None  # SHA-256 of the video, or of the pictures one after another
    key: str  # of prompt and content: one row of a job
    nth: int  # how often this key was asked before
    schema: dict[str, Any] | None
    body: dict[str, Any]
    model: str
    time: float  # of its arrival


class Trouble(NamedTuple):
    """One thing that goes wrong; the names are those of `TROUBLES` and of the methods of Handler."""

    name: str
    seconds: float = 0.0  # what a 429 asks to wait, or how long a slow reply takes


@dataclass(frozen=True)
class Rule:
    """`trouble` for this share of what is asked, and of each for its first few calls only."""

    trouble: Trouble
    share: float = 1.0  # by hash of what is asked: the same ones every time
    first: int | None = None  # calls of each key; None: all
    match: str = ""  # in the prompt, or the content's SHA-256
    kind: str = "generate"  # or chat, or upload
    seed: int = 0

    def applies(self, ask: Ask) -> bool:
        return (
            ask.kind == self.kind
            and (self.first is None or ask.nth < self.first)
            and (self.match in ask.prompt or self.match == ask.content_sha)
            and _draw(self.seed, self.trouble.name, ask.key).random() < self.share
        )


@dataclass(frozen=True)
class Call:
    """One line of the journal."""

    time: float
    kind: str
    key: str
    content_sha: str | None
    nth: int
    model: str
    outcome: str  # ok, or the trouble's name
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_sound: int = 0
    tokens_out: int = 0
    billed_usd: float = 0.0


@dataclass
class LlmServer:
    """What it answers, what goes wrong, and what it saw."""

    answer: Callable[[Ask], str] = field(default=lambda ask: default_answer(ask))
    rules: Sequence[Rule] = ()
    latency: float = 0.0  # seconds of every generation
    price: Price | None = None
    journal: Path | None = None
    video_tokens: Callable[[bytes], int] = lambda data: VIDEO_TOKENS
    processing: int = 0  # how often an uploaded file is asked for before it is ready
    cached_from: int | None = None  # tokens of a prompt's beginning that are cached once seen; None: no cache
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)  # of generate and chat, media cut out
    headers: list[dict[str, str]] = field(default_factory=list)  # of every request
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.last_prompt = ""

    def billed_usd(self) -> float:
        return sum(call.billed_usd for call in self.calls)

    def of(self, kind: str) -> list[Call]:
        return [call for call in self.calls if call.kind == kind]

    def trouble(self, ask: Ask) -> Trouble | None:
        return next((rule.trouble for rule in self.rules if rule.applies(ask)), None)

    def nth(self, key: str) -> int:
        with self.lock:
            self.asked[key] += 1
            return self.asked[key] - 1

    def write(self, ask: Ask, outcome: str, usage: Usage | None = None) -> None:
        used = usage or Usage()
        usd = self.price.cost(used) if self.price and usage else 0.0
        call = Call(
            *(ask.time, ask.kind, ask.key, ask.content_sha, ask.nth, ask.model, outcome),
            *(used.tokens_in, used.tokens_cached, used.tokens_sound, used.tokens_out, usd),
        )
        with self.lock:
            self.calls.append(call)
            if self.journal:
                with self.journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(call)) + "\n")

    def cached(self, prompt: str) -> int:
        """Tokens at the beginning of a prompt that the one before had too."""
        if self.cached_from is None:
            return 0
        with self.lock:
            last, self.last_prompt = self.last_prompt, prompt
        same = next((i for i, (a, b) in enumerate(zip(prompt, last, strict=False)) if a != b), len(last))
        return same // 4 if same // 4 >= self.cached_from else 0


def default_answer(ask: Ask) -> str:
    """A valid answer to tikval's prompts, drawn from the hash of what is asked."""
    draw = _draw(0, "answer", ask.key)
    if ask.schema is not None:
        return json.dumps(_fitting(ask.schema, draw))
    if columns := re.findall(r'^  "(\d+_\w+_values)": "(\w+)", "(\w+)"', ask.prompt, re.MULTILINE):
        said: dict[str, Any] = {name: draw.choice([yes, no, None, None]) for name, yes, no in columns}
        return json.dumps({**said, "Has_sound": True, "notes": f"drawn for {ask.key}"})
    spoken = draw.choice(["We made it.", "Not again.", "Help me with this one."])
    return f'Genre: Comedy\nSound: Yes\nA kitchen.\n[{ask.key}]\nTALL GIRL: "{spoken}"\n'


def _fitting(schema: dict[str, Any], draw: random.Random) -> Any:
    if "enum" in schema:
        return draw.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return {name: _fitting(part, draw) for name, part in schema.get("properties", {}).items()}
    return {"boolean": draw.random() < 0.5, "string": "drawn", "integer": draw.randrange(9)}.get(str(kind))


def _draw(*parts: object) -> random.Random:
    return random.Random(hashlib.sha256(repr(parts).encode()).digest())


def _sha(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


# status, google's word, message; tests read the messages, so they are worded as the servers word them
REFUSALS: dict[str, tuple[int, str, str]] = {
    "rejected": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "too_long": (400, "INVALID_ARGUMENT", "This model's maximum context length is 4096 tokens."),
    "bad_key": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "unauthorized": (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "forbidden": (403, "PERMISSION_DENIED", "The caller does not have permission."),
    "no_model": (404, "NOT_FOUND", "models/x is not found for API version v1beta."),
    "rate_limited": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "rate_limited_info": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "rate_limited_header": (429, "RESOURCE_EXHAUSTED", "Too many requests."),
    "rate_limited_day": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "server_error": (500, "INTERNAL", "An internal error has occurred."),
    "bad_gateway": (502, "UNAVAILABLE", "Bad gateway."),
    "unavailable": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "deadline": (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    "redirect": (307, "MOVED", "Elsewhere."),
    "echo": (400, "INVALID_ARGUMENT", "The key {key} cannot be used for this."),
}
PAID = (
    "max_tokens",
    "safety",
    "other_finish",
    "no_text",
    "wrong_model",
    "unknown_words",
    "slow",
)  # 200 and JSON
UNPAID_200 = ("blocked_prompt", "empty_candidates")
LOST = ("reset", "half_json", "html", "empty", "odd_json")  # paid, and nothing comes of it
FILES = ("stuck_file", "failed_file", "expired_file")
TROUBLES = (*REFUSALS, *PAID, *UNPAID_200, *LOST, *FILES)
PASSING = ("rate_limited_info", "unavailable", "server_error", "reset", "half_json", "empty")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections
    wbufsize = -1  # one packet per reply: two would wait for each other (Nagle)
    disable_nagle_algorithm = True
    timeout = 60
    server: "_Listener"

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fake.headers.append(dict(self.headers))
        if path.startswith("/upload/"):
            self._upload(data)
        elif path.endswith(":countTokens"):
            ask, tokens = self._gemini(path, json.loads(data), "count")
            self.fake.write(ask, "ok")
            self._send(200, {"totalTokens": sum(tokens)})
        elif path.endswith(":generateContent"):
            ask, tokens = self._gemini(path, json.loads(data), "generate")
            self._generate(ask, *tokens)
        elif path.endswith("/chat/completions"):
            ask, tokens = self._chat(json.loads(data))
            self._generate(ask, *tokens)
        else:
            self._send(404, {"error": {"code": 404, "message": "no such path", "status": "NOT_FOUND"}})

    def do_GET(self) -> None:
        self.fake.headers.append(dict(self.headers))
        name, file = self._named()
        self.fake.write(self._about_file("file", name), file["state"] if file else "gone")
        if file is None:
            return self._no_file(name)
        file["polls"] += 1
        if file["state"] == "PROCESSING" and not file["stuck"] and file["polls"] > self.fake.processing:
            file["state"] = "ACTIVE"
        return self._send(200, _public(file))

    def do_DELETE(self) -> None:
        self.fake.headers.append(dict(self.headers))
        name, file = self._named()
        self.fake.write(self._about_file("delete", name), "ok" if file else "gone")
        if file is None:
            return self._no_file(name)
        del self.fake.files[name]
        return self._send(200, {})

    @property
    def fake(self) -> LlmServer:
        return self.server.fake

    # -- what is asked

    def _gemini(self, path: str, body: dict[str, Any], kind: str) -> tuple[Ask, tuple[int, int]]:
        """The ask, and its tokens: of the text and of the video."""
        texts, shas, tokens = [], [], 0
        body = _camel(body)
        for part in (part for turn in body.get("contents", ()) for part in turn.get("parts", ())):
            if "text" in part:
                texts.append(part["text"])
            if inline := part.get("inlineData"):
                data = base64.b64decode(inline["data"], b"-_")  # as the SDK writes it
                inline["data"] = f"({len(data)} bytes)"
                shas.append(_sha(data))
                tokens += self.fake.video_tokens(data)
            if file := part.get("fileData"):
                kept = self.fake.files.get("files/" + file["fileUri"].rpartition("/")[2])
                shas.append(kept["sha"] if kept else "gone")
                tokens += kept["tokens"] if kept else 0
        schema = body.get("generationConfig", {}).get("responseJsonSchema")
        return self._ask(kind, texts, shas, schema, body, path.rpartition("/")[2].partition(":")[0], tokens)

    def _chat(self, body: dict[str, Any]) -> tuple[Ask, tuple[int, int]]:
        texts, shas = [], []
        for part in (part for turn in body["messages"] for part in turn["content"]):
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                shas.append(_sha(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
                part["image_url"]["url"] = "(a picture)"
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        return self._ask("chat", texts, shas, schema, body, body["model"], 100 * len(shas))

    def _ask(
        self,
        kind: str,
        texts: list[str],
        shas: list[str],
        schema: dict[str, Any] | None,
        body: dict[str, Any],
        model: str,
        media_tokens: int,
    ) -> tuple[Ask, tuple[int, int]]:
        prompt = "".join(texts)
        sha = shas[0] if len(shas) == 1 else _sha(*map(str.encode, shas)) if shas else None
        key = _sha(prompt.encode(), (sha or "").encode())[:16]
        ask = Ask(kind, prompt, sha, key, self.fake.nth(f"{kind} {key}"), schema, body, model, time.time())
        self.fake.bodies.append(body)
        return ask, (-(-len(prompt) // 4), media_tokens)

    def _about_file(self, kind: str, name: str) -> Ask:
        return Ask(kind, "", None, name, 0, None, {}, "", time.time())

    # -- what comes back

    def _generate(self, ask: Ask, text_tokens: int, media_tokens: int) -> None:
        with self.fake.lock:
            self.fake.at_once += 1
            self.fake.most_at_once = max(self.fake.most_at_once, self.fake.at_once)
        try:
            self._reply(ask, text_tokens, media_tokens)
        finally:
            with self.fake.lock:
                self.fake.at_once -= 1

    def _reply(self, ask: Ask, text_tokens: int, media_tokens: int) -> None:
        trouble = self.fake.trouble(ask) or Trouble("ok")
        name = trouble.name
        if name in REFUSALS:
            self.fake.write(ask, name)
            return self._refuse(trouble)
        if name == "expired_file" or (ask.kind == "generate" and ask.content_sha == "gone"):
            self.fake.write(ask, "expired_file")
            return self._no_file("files/x")
        time.sleep(trouble.seconds if name == "slow" else self.fake.latency)
        answer = "" if name in ("no_text", "safety", *UNPAID_200) else self.fake.answer(ask)
        if name == "unknown_words":
            answer = re.sub(r'"(endorsed|absent|dominant|confronted|present|conflict)"', '"perhaps"', answer)
        if name == "max_tokens":
            answer = answer[: len(answer) // 2]
        usage = Usage(
            tokens_in=text_tokens + media_tokens,
            tokens_cached=self.fake.cached(ask.prompt),
            tokens_sound=32 if media_tokens and ask.kind == "generate" else 0,
            tokens_out=-(-len(answer) // 4) + 7,  # 7 of thinking
        )
        self.fake.write(ask, name, None if name in UNPAID_200 else usage)
        if name == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return None
        if name == "html":
            return self._send_bytes(200, b"<html><body>Sign in</body></html>", "text/html")
        if name in ("empty", "odd_json"):
            return self._send(200, {} if name == "empty" else {"candidates": 5, "choices": 5})
        reply = _gemini_reply if ask.kind == "generate" else _chat_reply
        data = json.dumps(reply(name, answer, usage, ask)).encode()
        return self._send_bytes(200, data[: len(data) // 2] if name == "half_json" else data)

    def _refuse(self, trouble: Trouble) -> None:
        status, word, message = REFUSALS[trouble.name]
        key = self.headers.get("x-goog-api-key") or self.headers.get("Authorization", "").removeprefix(
            "Bearer "
        )
        error: dict[str, Any] = {"code": status, "message": message.replace("{key}", key), "status": word}
        headers = {"Location": f"{self.fake.url}/elsewhere"} if status == 307 else {}
        kind = "type.googleapis.com/google.rpc."
        if trouble.name == "rate_limited_header":
            headers["Retry-After"] = f"{trouble.seconds:g}"
        if trouble.name in ("rate_limited_info", "rate_limited_day"):
            error["details"] = [{"@type": f"{kind}RetryInfo", "retryDelay": f"{trouble.seconds:g}s"}]
        if trouble.name == "rate_limited_day":
            quota = "GenerateRequestsPerDayPerProjectPerModel"
            error["details"].append({"@type": f"{kind}QuotaFailure", "violations": [{"quotaId": quota}]})
        self._send(status, {"error": error}, headers)

    # -- files

    def _upload(self, data: bytes) -> None:
        if self.headers.get("X-Goog-Upload-Command") == "start":
            file = json.loads(data).get("file", {})
            name = file.get("name") or f"files/{len(self.fake.files)}"
            self.fake.files[name] = {
                "name": name,
                "mime": file.get("mimeType"),
                "data": b"",
                "state": "UPLOADING",
            }
            address = f"{self.fake.url}/upload/v1beta/files?upload_id={name.partition('/')[2]}"
            return self._send(200, {}, {"X-Goog-Upload-URL": address, "X-Goog-Upload-Status": "active"})
        name = "files/" + self.path.rpartition("=")[2]
        kept = self.fake.files[name]
        kept["data"] += data
        if "finalize" not in self.headers.get("X-Goog-Upload-Command", ""):
            return self._send(200, {}, {"X-Goog-Upload-Status": "active"})
        whole = kept.pop("data")
        sha = _sha(whole)
        ask = Ask("upload", "", sha, sha[:16], self.fake.nth(f"upload {sha[:16]}"), None, {}, "", time.time())
        trouble = self.fake.trouble(ask) or Trouble("ok")
        state = {"failed_file": "FAILED", "ok": "PROCESSING" if self.fake.processing else "ACTIVE"}
        kept |= {"sha": sha, "size": len(whole), "tokens": self.fake.video_tokens(whole), "polls": 0}
        kept |= {"stuck": trouble.name == "stuck_file", "uri": f"{self.fake.url}/v1beta/{name}"}
        kept["state"] = state.get(trouble.name, "PROCESSING")
        self.fake.write(ask, trouble.name)
        return self._send(200, {"file": _public(kept)}, {"X-Goog-Upload-Status": "final"})

    def _named(self) -> tuple[str, dict[str, Any] | None]:
        name = "files/" + urlsplit(self.path).path.rpartition("/")[2]
        return name, self.fake.files.get(name)

    def _no_file(self, name: str) -> None:
        said = f"You do not have permission to access the File {name[6:]} or it may not exist."
        self._send(403, {"error": {"code": 403, "message": said, "status": "PERMISSION_DENIED"}})

    # -- the wire

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(body).encode(), headers=headers)

    def _send_bytes(
        self, status: int, data: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _camel(said: Any) -> Any:
    """The names of Google's JSON in one of the two spellings that it takes; a schema's own names stay."""
    if isinstance(said, list):
        return [_camel(part) for part in said]
    if not isinstance(said, dict):
        return said
    names = {name: re.sub(r"_([a-z])", lambda found: found[1].upper(), name) for name in said}
    return {
        names[name]: part if names[name] == "responseJsonSchema" else _camel(part)
        for name, part in said.items()
    }


def _public(file: dict[str, Any]) -> dict[str, Any]:
    error = {"error": {"code": 3, "message": "The video is broken."}} if file["state"] == "FAILED" else {}
    return {
        "name": file["name"],
        "uri": file["uri"],
        "mimeType": file["mime"],
        "state": file["state"],
        "sizeBytes": str(file["size"]),
        **error,
    }


def _gemini_reply(trouble: str, answer: str, usage: Usage, ask: Ask) -> dict[str, Any]:
    finish = {"max_tokens": "MAX_TOKENS", "safety": "SAFETY", "other_finish": "MALFORMED_RESPONSE"}
    said: dict[str, Any] = {
        "usageMetadata": {
            "promptTokenCount": usage.tokens_in,
            "cachedContentTokenCount": usage.tokens_cached,
            "candidatesTokenCount": usage.tokens_out - 7,
            "thoughtsTokenCount": 7,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": usage.tokens_sound}],
        },
        "modelVersion": "gemini-other" if trouble == "wrong_model" else ask.model,
        "responseId": ask.key,
    }
    if trouble == "blocked_prompt":
        return {**said, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    if trouble == "empty_candidates":
        return {**said, "candidates": []}
    parts = [{"text": "hm", "thought": True}, *([{"text": answer}] if answer else [])]
    content = {"role": "model", "parts": parts}
    return {
        **said,
        "candidates": [{"content": content, "finishReason": finish.get(trouble, "STOP"), "index": 0}],
    }


def _chat_reply(trouble: str, answer: str, usage: Usage, ask: Ask) -> dict[str, Any]:
    finish = {"max_tokens": "length", "safety": "content_filter", "other_finish": "abort"}.get(
        trouble, "stop"
    )
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": finish}
    return {
        "id": ask.key,
        "object": "chat.completion",
        "model": "other" if trouble == "wrong_model" else ask.model,
        "choices": [] if trouble == "empty_candidates" else [choice],
        "usage": {
            "prompt_tokens": usage.tokens_in,
            "completion_tokens": usage.tokens_out,
            "prompt_tokens_details": {"cached_tokens": usage.tokens_cached},
        },
    }


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    fake: LlmServer

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def listen(fake: LlmServer, port: int = 0) -> _Listener:
    server = _Listener(("127.0.0.1", port), Handler)
    server.fake = fake
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    return server


@contextmanager
def serving(fake: LlmServer) -> Iterator[LlmServer]:
    """The server on a port of the loopback interface."""
    server = listen(fake)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def passing_faults(share: float, seed: int) -> list[Rule]:
    """Every passing fault for its part of a share of what is asked, for the first call of each."""
    # rules are tried one after another: each takes its part of what the ones before it left
    rules, left = [], 1.0
    for name in PASSING:
        part = share / len(PASSING)
        rules += [
            Rule(Trouble(name, 0.05), share=part / left, first=1, kind=kind, seed=seed)
            for kind in ("generate", "chat")
        ]
        left -= part
    return rules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--faults", type=float, default=0.0, help="share of rows whose first call fails")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of a generation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="whose price is billed on today's date")
    args = parser.parse_args()
    price = load_prices().of(args.model, date.today()) if args.model else None
    rules = passing_faults(args.faults, args.seed)
    fake = LlmServer(rules=rules, latency=args.latency, price=price, journal=args.journal)
    server = listen(fake, args.port)
    print(fake.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
