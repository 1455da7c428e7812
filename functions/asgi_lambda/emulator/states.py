"""The states of a runtime as Lambda's own Runtime API server holds them, and its refusals, word for word."""

from __future__ import annotations

import json
import re
from enum import StrEnum

# Of a buffered response: 6 MB and 100 bytes for the envelope.
BUFFERED_LIMIT = 6 * 1024 * 1024 + 100


class State(StrEnum):
    """The names that Lambda's error messages use."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    RESTORE_READY = "RestoreReady"
    RESTORING = "RestoreRunning"
    RESTORE_ERROR = "RestoreError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONSE = "InvocationResponse"
    ERROR_RESPONSE = "InvocationErrorResponse"
    SENT = "RuntimeResponseSentState"


_FROM = {
    State.INIT_ERROR: {State.STARTED},
    State.RESTORE_READY: {State.STARTED},
    State.RESTORING: {State.RESTORE_READY},
    State.RESTORE_ERROR: {State.RESTORING},
    State.READY: {State.STARTED, State.RESTORING, State.READY, State.SENT},
    State.RUNNING: {State.READY},
    State.RESPONSE: {State.RUNNING},
    State.ERROR_RESPONSE: {State.RUNNING},
    State.SENT: {State.RESPONSE, State.ERROR_RESPONSE},
}


class Refusal(Exception):
    """What the Runtime API answers to a call that it refuses."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type

    @property
    def body(self) -> bytes:
        fields = {"errorMessage": str(self), "errorType": self.error_type}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def transition(state: State, target: State) -> State:
    """The new state. Raises ``Refusal`` with 403 InvalidStateTransition."""
    if state in _FROM[target]:
        return target
    message = f"State transition from {state} to {target} failed for runtime. Error: State transition is not allowed"
    raise Refusal(403, "InvalidStateTransition", message)


def invalid_request_id() -> Refusal:
    return Refusal(400, "InvalidRequestID", "Invalid request ID")


def invalid_response_mode() -> Refusal:
    return Refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")


def too_large(limit: int) -> Refusal:
    return Refusal(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({limit} bytes).")


_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def error_type(given: str | None) -> str:
    """The error type that Lambda reports for the one that a runtime gave."""
    if given and _ERROR_TYPE.fullmatch(given):
        return given
    return "Function.Unknown" if given and given.startswith("Function.") else "Runtime.Unknown"
