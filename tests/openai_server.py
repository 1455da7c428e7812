"""A server that speaks OpenAI's chat completions and embeddings, played step by step by a test.

``python -m tests.openai_server --delay 0.05`` serves until interrupted.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from tests.scripted_server import (
    CANNED,
    CUT,
    END,
    OPEN,
    PATIENCE,
    Reply,
    ScriptedServer,
    Status,
    Step,
    Whole,
    bag_of_words,
)

__all__ = ["CUT", "DONE", "END", "OPEN", "PATIENCE", "OpenAIServer", "Reply", "Status", "Step", "Whole"]

DONE = b"data: [DONE]\n\n"


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event(head | {"choices": list(choices)} | more)


def delta(content: str | None, **more: Any) -> bytes:
    return chunk({"index": 0, "delta": {"content": content} | more, "finish_reason": None})


def reasoning(text: str) -> bytes:
    return delta(None, reasoning_content=text)


def finish(reason: str = "stop") -> bytes:
    return chunk({"index": 0, "delta": {}, "finish_reason": reason})


def usage(prompt: int, completion: int) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk(usage=counts)


def answer(*texts: str, delay: float = 0.0) -> tuple[Step, ...]:
    deltas = (step for text in texts for step in (delay, delta(text)))
    return (*deltas, finish(), usage(100, len(texts)), DONE, END)


class OpenAIServer(ScriptedServer):
    """``base_url`` is what a client takes as API base."""

    stream_type = "text/event-stream"
    answers = "completions"

    def __init__(self, canned: Sequence[Step] = answer(*CANNED)) -> None:
        super().__init__()
        self._canned = canned

    def __enter__(self) -> Self:
        super().__enter__()
        self.base_url = f"{self.url}/v1"
        return self

    def canned(self, asked: str, body: dict[str, Any]) -> Sequence[Step]:
        return (_embeddings(body),) if asked == "embeddings" else self._canned

    def refusal(self, status: Status) -> Whole:
        error = {"message": status.message, "type": "test", "code": str(status.code)}
        return Whole({"error": error}, status.code, status.headers)


def _embeddings(body: dict[str, Any]) -> Whole:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"object": "embedding", "index": index, "embedding": bag_of_words(text, body.get("dimensions", 1536))}
        for index, text in enumerate(texts)
    ]
    counts = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return Whole({"object": "list", "model": body["model"], "data": data, "usage": counts})


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server that always gives the same answer.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each token")
    steps = answer(*CANNED, delay=parser.parse_args().delay)
    with OpenAIServer(steps) as server, suppress(KeyboardInterrupt):
        print(server.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
