"""What went wrong, as Lambda wants to be told."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of the function. ``type`` is ``Function.`` or ``Runtime.`` and one word in capitals and small letters,
    or Lambda makes it unknown. The stack trace is in the log, and nowhere else."""

    type: str
    message: str

    @classmethod
    def of(cls, type: str, error: BaseException) -> Fault:
        return cls(type, f"{error.__class__.__name__}: {error}")

    def body(self) -> bytes:
        # Short: Lambda breaks a response off whose trailers are over 4 KiB, in base64.
        told = {"errorType": self.type, "errorMessage": self.message[:400]}
        return json.dumps(told, ensure_ascii=False).encode(errors="replace")

    def header(self) -> Mapping[str, str]:
        """What goes with ``body`` to ``/error``."""
        return {"Lambda-Runtime-Function-Error-Type": self.type}

    def trailers(self) -> Mapping[str, str]:
        """What ends a streamed response that has failed (AWS: "Building a custom runtime", streaming)."""
        return {**self.header(), "Lambda-Runtime-Function-Error-Body": base64.b64encode(self.body()).decode()}
