"""How tests are dealt out to the processes that run them side by side."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Files of one name here stay in one process: a browser, or LiteLLM, takes seconds to start.
_SHARED = {
    "a browser": ("page", "page_access", "page_product", "page_sources", "page_text"),
    "LiteLLM": (
        *("bedrock", "conversation", "each_provider", "fallbacks", "injections", "litellm", "litellm_embedder"),
        *("model_failures", "torn_answers"),
    ),
}
_SCOPES = {f"test_{file}": name for name, files in _SHARED.items() for file in files}


class ByWhatTheyShare(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests stay in one process, where they share its fixtures; so do some files'."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _SCOPES.get(PurePosixPath(file).stem, file)
