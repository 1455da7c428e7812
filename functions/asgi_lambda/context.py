"""Which invocation this is: for the app, and for every line that it logs."""

from __future__ import annotations

import os
import time
from contextvars import ContextVar
from dataclasses import dataclass

#: The invocation's id, in its tasks and in what `asyncio.to_thread` runs for them; empty outside of invocations.
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: The invocation's X-Ray trace header; empty where there is none.
trace_id: ContextVar[str] = ContextVar("trace_id", default="")


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What a handler gets as its context (AWS: "Using the Lambda context object to retrieve Python function
    information"). ``deadline`` is in seconds since 1970."""

    aws_request_id: str
    invoked_function_arn: str
    deadline: float
    function_name: str = ""
    function_version: str = ""
    memory_limit_in_mb: str = ""
    log_group_name: str = ""
    log_stream_name: str = ""

    @classmethod
    def of_environment(cls, request_id: str, arn: str, deadline: float) -> LambdaContext:
        names = ("FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE", "LOG_GROUP_NAME", "LOG_STREAM_NAME")
        return cls(request_id, arn, deadline, *(os.environ.get(f"AWS_LAMBDA_{name}", "") for name in names))

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.time()) * 1000))
