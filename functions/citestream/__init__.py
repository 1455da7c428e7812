"""Cited answers over a team's own documents, streamed as they are written."""

__version__ = "0.1.0"
