"""A server that speaks Amazon Bedrock's runtime API, played step by step by a test.

``ConverseStream`` in the real encoding of AWS event streams, ``Converse``, and ``InvokeModel`` for Titan's embeddings:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
https://smithy.io/2.0/aws/amazon-eventstream.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html.
LiteLLM asks it where ``AWS_BEDROCK_RUNTIME_ENDPOINT`` is its ``url``; ``environment`` is all that it takes.

``python -m tests.bedrock_server`` prints the address, and serves until its standard input closes.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from tests.scripted_server import CANNED, CUT, END, OPEN, ScriptedServer, Status, Step, Whole, bag_of_words

__all__ = ["CUT", "END", "OPEN", "BedrockServer", "Status", "Step", "Whole"]

_STRING = 7  # the type of a header's value
_TITAN_DIMENSIONS = (256, 512, 1024)
_TITAN_CHARACTERS = 50_000
_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A message: lengths and their CRC, headers, payload, and the CRC of all that."""
    head = b"".join(
        struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode())
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


def corrupt(message: bytes) -> bytes:
    """The message with a payload that its checksum does not fit."""
    return message[:-5] + bytes([message[-5] ^ 1]) + message[-4:]


def event(kind: str, data: object) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(data).encode())


def exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def start() -> bytes:
    return event("messageStart", {"role": "assistant", "p": "abcd"})  # p is padding, which Bedrock sends, too


def delta(text: str) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcdefgh"})


def reasoning(text: str) -> bytes:
    """A block of reasoning, signed as Claude's are."""
    pieces: tuple[dict[str, str], ...] = ({"text": text}, {"signature": "c2lnbmVk"})
    block = (
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": piece}, "p": "abc"})
        for piece in pieces
    )
    return b"".join((*block, event("contentBlockStop", {"contentBlockIndex": 0, "p": "abc"})))


def finish(reason: str = "end_turn") -> bytes:
    stop = event("contentBlockStop", {"contentBlockIndex": 0, "p": "abcde"})
    return stop + event("messageStop", {"stopReason": reason, "p": "ab"})


def usage(prompt: int, completion: int) -> bytes:
    return event("metadata", {"usage": _counts(prompt, completion), "metrics": {"latencyMs": 420}, "p": "abc"})


def answer(*texts: str, delay: float = 0.0) -> tuple[Step, ...]:
    deltas = (step for text in texts for step in (delay, delta(text)))
    return (start(), *deltas, finish(), usage(100, len(texts)), END)


class BedrockServer(ScriptedServer):
    """Answers with the texts where nothing else is prepared."""

    stream_type = "application/vnd.amazon.eventstream"
    answers = "converse-stream"

    def __init__(self, texts: Sequence[str] = CANNED, delay: float = 0.0) -> None:
        super().__init__()
        self._texts = texts
        self._delay = delay

    @property
    def environment(self) -> dict[str, str]:
        """What LiteLLM finds this server by, with credentials of nobody."""
        return {
            "AWS_BEDROCK_RUNTIME_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "only-for-tests",
            "AWS_REGION": "us-east-1",
        }

    def canned(self, asked: str, body: dict[str, Any]) -> Sequence[Step]:
        if asked == "invoke":
            return (_titan(body),)
        return answer(*self._texts, delay=self._delay) if asked == self.answers else (_message(self._texts),)

    def refusal(self, status: Status) -> Whole:
        kind = _ERRORS[status.code]
        return Whole({"message": status.message}, status.code, {"x-amzn-errortype": kind} | dict(status.headers))


def _counts(prompt: int, completion: int) -> dict[str, int]:
    return {"inputTokens": prompt, "outputTokens": completion, "totalTokens": prompt + completion}


def _message(texts: Sequence[str]) -> Whole:
    message = {"role": "assistant", "content": [{"text": "".join(texts)}]}
    return Whole({"output": {"message": message}, "stopReason": "end_turn", "usage": _counts(100, len(texts))})


def _titan(body: dict[str, Any]) -> Whole | Status:
    text, dimensions = body["inputText"], body.get("dimensions", 1024)
    if not 1 <= len(text) <= _TITAN_CHARACTERS or dimensions not in _TITAN_DIMENSIONS:
        return Status(400, f"Malformed input request: {len(text)} characters, {dimensions} dimensions")
    length = 1.0 if body.get("normalize", True) else 20.0
    vector = [length * value for value in bag_of_words(text, dimensions)]
    found = {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": len(text.split())}
    return Whole(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="A Bedrock that always gives the same answer, and Titan's embeddings.")
    parser.add_argument("--answer", default="".join(CANNED), help="the answer, sent word by word")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each word")
    chosen = parser.parse_args()
    with BedrockServer(chosen.answer.replace(" ", " \0").split("\0"), chosen.delay) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
