"""What many tests stand on: the sample documents in an index, served."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import citestream
from citestream.ingest.files import find_files
from citestream.ingest.load import load
from citestream.settings import load_settings
from citestream.stores import open_embedder, open_index
from tests import patience
from tests.aws import aws_process as aws_process
from tests.aws import aws_server as aws_server
from tests.aws import aws_stores as aws_stores
from tests.aws import aws_table as aws_table
from tests.aws import no_real_aws as no_real_aws
from tests.server import product
from tests.sharing import ByWhatTheyShare

SAMPLES = Path(citestream.__file__).parent / "samples"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWhatTheyShare | None:
    return ByWhatTheyShare(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: the garbage collector need not look through them again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def provider_key() -> Iterator[None]:
    """The key that LiteLLM wants before it asks the OpenAI-compatible server of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-only-for-tests")
        yield


@pytest.fixture(scope="session", autouse=True)
def patient() -> None:
    patience.with_providers()
    patience.with_servers()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose index holds the sample documents."""
    data = tmp_path_factory.mktemp("library")
    asyncio.run(_ingest_samples(data))
    return data


@pytest.fixture(scope="session")
def url(library: Path) -> Iterator[str]:
    """The product with the sample documents, the built-in answerer, and open to the local caller."""
    with product(data=library) as url:
        yield url


async def _ingest_samples(data: Path) -> None:
    settings = load_settings({}, data=data)
    embedder = open_embedder(settings)
    index = open_index(settings, embedder)
    for kb_id in ("engineering", "handbook"):
        files = find_files([str(SAMPLES / kb_id)]).files.values()
        assert [outcome.state async for outcome in load(files, kb_id, index, embedder)] == ["added"] * len(files)
    await index.aclose()
