"""What goes wrong outside the code that meets it.

    Exception
    ├── StoreUnavailable    a store does not answer: 503 before the first byte
    ├── WrongIndex          the index can't be used as it is; the message says the way out
    └── DeploymentError     the command line can't find a deployment, or is not let into it

The others live beside what raises them: ``ingest.parsed.UnreadableFile``, ``answer.answerer.AnswerError``,
``http.problems.Problem``, ``settings.BadSettings``.
"""

from __future__ import annotations


class StoreUnavailable(Exception):
    """A store (index, log) does not answer; trying again later may help."""


class WrongIndex(Exception):
    """The index on disk does not fit this program: another embedder, another schema."""


class DeploymentError(Exception):
    """A deployment can't be found, or does not let us; the message says what is missing."""
