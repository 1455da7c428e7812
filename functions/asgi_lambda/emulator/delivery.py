"""An event on its way to the runtime."""

from __future__ import annotations

from dataclasses import dataclass

from asgi_lambda.emulator.reply import Reply


@dataclass(frozen=True)
class Delivery:
    """``deadline`` is in Unix seconds, ``delivered`` on the monotonic clock."""

    event: bytes
    reply: Reply
    deadline: float
    delivered: float
    function_arn: str
    invocation_id: str

    @property
    def request_id(self) -> str:
        return self.reply.record.request_id

    def headers(self) -> list[tuple[str, str]]:
        """Of the answer to ``/next``."""
        return [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", self.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(int(self.deadline * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", self.function_arn),
            ("Lambda-Runtime-Invocation-Id", self.invocation_id),
            ("Lambda-Runtime-Trace-Id", f"Root={self.reply.record.trace_root};Parent=0000000000000001;Sampled=0"),
        ]
