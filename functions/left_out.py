"""What a deployed function does without: of its requirements, and of our own code.

Measured by the files that answers open and the modules that they import; each of LiteLLM's providers fails, without
its service, as it does when nothing is left out. The rules name what is large. One that finds nothing fails the build:
an update must not make it useless unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Those that are called; botocore reads a service's description when it is.
AWS_SERVICES = ("bedrock", "bedrock-runtime", "dynamodb", "s3", "s3vectors", "secretsmanager", "sqs", "ssm", "sts")

LEFT_OUT = {
    "commands, which Lambda does not start": ("bin",),
    "LiteLLM's proxy, a program of its own, and its web pages": ("litellm/proxy",),
    "native twins of what LiteLLM has in Python": ("litellm/rust_bridge/*.so",),
    "vocabularies to count tokens with, which the provider does": (
        "litellm/litellm_core_utils/tokenizers/ec7223a39ce59f226a68acc30dc1af2788490e15",  # p50k
        "litellm/litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790",  # o200k
        "tokenizers",
    ),
    "for models that run in the process itself": (
        "fsspec",
        "hf_xet",
        "huggingface_hub",
        "litellm/llms/huggingface/huggingface_llms_metadata",
        "tqdm",
    ),
    "checks of JSON against schemas": ("jsonschema", "jsonschema_specifications", "referencing", "rpds"),
    "native twins of Python modules that no answer waits for": (
        "aiohttp/*.so",
        "aiohttp/_websocket/*.so",
        "yaml/*.so",
    ),
    "lxml beyond its parsers": (
        "lxml/*.pxi",
        "lxml/html/_difflib*.so",
        "lxml/includes",
        "lxml/isoschematron",
        "lxml/objectify*.so",
    ),
    "descriptions of AWS services that are not called": ("boto3/data", "botocore/data/*/"),
    "for type checkers, compilers, tests and installers": (
        "**/*.pyi",
        "**/*.pyx",
        "**/tests",
        "*.dist-info/RECORD",
        "*.dist-info/sboms",
    ),
}

KEPT = (
    *(f"botocore/data/{service}" for service in AWS_SERVICES),
    # The modules that LiteLLM outside its proxy imports for a completion.
    *(
        f"litellm/proxy/{module}.py"
        for module in (
            "__init__",
            "_experimental/mcp_server/stdio_gate",
            "_types",
            "common_utils/config_sync_pubsub",
            "common_utils/encrypt_decrypt_utils",
            "guardrails/exception_utils",
            "openai_files_endpoints/common_utils",
            "pass_through_endpoints/llm_provider_handlers/typesafe_passthrough_logging_handler",
            "spend_tracking/cold_storage_handler",
            "spend_tracking/savings",
            "types_utils/utils",
        )
    ),
)

# Our own: what serves on a laptop.
LOCAL = {
    "asgi_lambda/emulator",
    "citestream/cli.py",
    "citestream/commands",
    "citestream/emulate.py",
    "citestream/evaluation",
    "citestream/server.py",
    "citestream/terminal.py",
    "citestream/remote.py",
}


def prune(root: Path) -> None:
    """Remove from installed requirements what is left out. Raises ``LookupError`` where a rule finds nothing."""
    kept = {path for pattern in KEPT for path in _files(root, pattern)}
    left_out = {path for patterns in LEFT_OUT.values() for pattern in patterns for path in _files(root, pattern)}
    for path in left_out - kept:
        path.unlink()
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):  # inner ones first
        if not any(folder.iterdir()):
            folder.rmdir()


def _files(root: Path, pattern: str) -> Iterator[Path]:
    """The files of that name, and those in folders of that name."""
    found = list(root.glob(pattern))
    if not found:
        raise LookupError(f"{pattern}: there is nothing of this name any more, which left_out.py keeps or leaves out")
    for path in found:
        yield from (inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else (path,)
