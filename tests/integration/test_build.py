"""The artifact that is deployed, built by its recipe."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from tests.sam import ROOT, built, deployed_python, make

# A build downloads some 70 wheels; it is kept for the next run.
pytestmark = pytest.mark.timeout(300)

MACHINES = {"arm64": 183, "x86_64": 62}  # e_machine of an ELF file
HASHED_NOT_CHECKED = 0b01  # flags of a pyc file, PEP 552
ARCHITECTURES = ("arm64", "x86_64")


@pytest.fixture(params=ARCHITECTURES)
def artifact(request: pytest.FixtureRequest) -> Path:
    return built(request.param)


@pytest.fixture
def runnable() -> Path:
    """The artifact for this machine's processor."""
    return built({"aarch64": "arm64"}.get(os.uname().machine, "x86_64"))


def files(artifact: Path, pattern: str = "*") -> Iterator[Path]:
    return (path for path in artifact.rglob(pattern) if path.is_file())


def run_alone(artifact: Path, code: str, **environment: str) -> str:
    """Run code on the deployed Python with nothing but its standard library and the artifact."""
    run = subprocess.run(
        (deployed_python(), "-ISBc", f"import sys; sys.path.insert(0, {str(artifact)!r})\n{code}"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_it_is_small_enough(artifact: Path) -> None:
    assert sum(path.stat().st_size for path in files(artifact)) <= 150_000_000


def test_its_native_code_is_for_its_processor(artifact: Path) -> None:
    libraries = list(files(artifact, "*.so"))
    machines = {struct.unpack_from("<H", path.read_bytes()[:20], 18)[0] for path in libraries}
    assert len(libraries) > 10
    assert machines == {MACHINES[json.loads((artifact / "built.json").read_text())["architecture"]]}


def test_its_bytecode_is_used_whatever_time_its_files_have(artifact: Path) -> None:
    compiled = list(files(artifact, "*.pyc"))
    assert {struct.unpack_from("<I", path.read_bytes()[:8], 4)[0] for path in compiled} == {HASHED_NOT_CHECKED}
    modules = {path.relative_to(artifact).with_suffix("") for path in files(artifact, "*.py")}
    assert {path.parent.parent.relative_to(artifact) / path.name.split(".")[0] for path in compiled} == modules


def test_it_carries_our_own_code_and_no_more_of_it_than_it_needs(artifact: Path) -> None:
    for there in ("run-stream", "citestream/handlers.py", "citestream/web/index.html", "citestream/samples/handbook"):
        assert (artifact / there).exists()
    for local in ("cli", "emulate", "server", "terminal"):
        assert not list(artifact.glob(f"citestream/{local}*"))
    for gone in ("asgi_lambda/emulator", "left_out.py", "package.py", "Makefile", "requirements.txt", "tests"):
        assert not (artifact / gone).exists()


@pytest.mark.parametrize(
    "gone",
    [
        "litellm/proxy/_experimental/out",
        "litellm/proxy/proxy_server.py",
        "litellm/proxy/swagger",
        "litellm/rust_bridge/*.so",
        "tokenizers",
        "hf_xet",
        "huggingface_hub",
        "numpy*",
        "uvicorn*",
        "bin",
        "botocore/data/ec2",
        "**/*.pyi",
        "**/tests",
        "*.dist-info/RECORD",
    ],
)
def test_it_leaves_out_what_is_never_used(artifact: Path, gone: str) -> None:
    assert not list(artifact.glob(gone))


def test_it_keeps_what_is(artifact: Path) -> None:
    for service in ("bedrock-runtime", "dynamodb", "s3", "s3vectors"):
        assert list(artifact.glob(f"botocore/data/{service}/*/service-2.json.gz"))
    assert list(artifact.glob("litellm-*.dist-info/METADATA"))


def test_its_files_can_be_read_by_the_user_that_runs_them(artifact: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in artifact.rglob("*")}
    assert modes <= {0o644, 0o755}
    assert (artifact / "run-stream").stat().st_mode & 0o777 == 0o755


def test_it_imports_all_that_it_serves_with(runnable: Path) -> None:
    modules = (
        "asgi_lambda.runtime, citestream.ingest.samples, citestream.http.tokens, mangum, snapshot_restore_py, boto3, "
        "citestream.ingest.worker, citestream.retrieval.litellm_embedder"
    )
    code = f"import {modules}, citestream.app\nprint('numpy' in sys.modules, 'litellm' in sys.modules)"
    assert run_alone(runnable, code) == "False False\n"


def test_what_answers_imports_at_its_start_nothing_that_it_can_do_without(runnable: Path) -> None:
    """A cold start waits for it: AWS is called, and LiteLLM imported, behind the first byte."""
    heavy = ("boto3", "botocore", "litellm", "lxml", "markdown_it", "moto", "numpy", "pypdf")
    stores = {f"CITESTREAM_{name}": "example" for name in ("TABLE", "VECTOR_BUCKET", "TEXT_BUCKET")}
    code = f"import citestream.app, citestream.stores\nprint([each for each in {heavy} if each in sys.modules])"
    assert run_alone(runnable, code, **stores) == "[]\n"


def test_what_takes_documents_in_starts_and_says_what_it_lacks(runnable: Path) -> None:
    code = (
        "from citestream import handlers\n"
        "from citestream.settings import BadSettings\n"
        "try:\n    handlers.ingest\n"
        "except BadSettings as error:\n    print(error)"
    )
    assert run_alone(runnable, code) == "the ingest needs CITESTREAM_TABLE and CITESTREAM_DOCUMENTS_BUCKET\n"
    names = ("TABLE", "VECTOR_BUCKET", "TEXT_BUCKET", "DOCUMENTS_BUCKET")
    stores = {f"CITESTREAM_{name}": "example" for name in names}
    assert (
        run_alone(runnable, "from citestream import handlers\nprint(handlers.ingest.__name__)", **stores) == "ingest\n"
    )


def test_its_tracebacks_name_the_files_where_they_are_deployed(runnable: Path) -> None:
    code = (
        "import marshal, glob\n"
        f"path = {str(runnable)!r} + '/citestream/__pycache__/app.cpython-313.pyc'\n"
        "print(marshal.loads(open(path, 'rb').read()[16:]).co_filename)"
    )
    assert run_alone(runnable, code) == "/var/task/citestream/app.py\n"


ASK = """
import asyncio
from citestream import provider
from citestream.answer.answerer import AnswerError
from citestream.answer.litellm import LiteLLMAnswerer

async def ask(model, api_base):
    answerer = LiteLLMAnswerer((model,), api_base=api_base, first_token_seconds=100)
    try:
        async for piece in answerer.answer("Why?", ()):
            print(piece if isinstance(piece, str) else piece.finish_reason)
    except AnswerError as error:
        print(error)
    finally:
        await provider.close()
"""


def test_it_asks_a_model_through_litellm(runnable: Path) -> None:
    with OpenAIServer() as server:
        code = f"{ASK}asyncio.run(ask('openai/m', {server.base_url!r}))"
        said = run_alone(runnable, code, OPENAI_API_KEY="sk-only-for-tests")
    assert said == "The first \nsource \nsays so [1]. \nThe second \none agrees [2].\nstop\n"


BEDROCK = """
import json, struct, threading, zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

def message(kind, payload):
    pairs = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    coded = ((name.encode(), value.encode()) for name, value in pairs.items())
    head = b"".join(bytes([len(n)]) + n + b"\\x07" + struct.pack(">H", len(v)) + v for n, v in coded)
    body = json.dumps(payload).encode()
    start = struct.pack(">II", 16 + len(head) + len(body), len(head))
    whole = start + struct.pack(">I", zlib.crc32(start)) + head + body
    return whole + struct.pack(">I", zlib.crc32(whole))

class Bedrock(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print(self.path, self.headers["authorization"].split("/")[0])
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.end_headers()
        self.wfile.write(message("messageStart", {"role": "assistant"}))
        for text in ("Because ", "it is [1]."):
            self.wfile.write(message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}))
        self.wfile.write(message("messageStop", {"stopReason": "end_turn"}))
        usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
        self.wfile.write(message("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}))

    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Bedrock)
threading.Thread(target=server.serve_forever, daemon=True).start()
import os
os.environ["AWS_BEDROCK_RUNTIME_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
"""


def test_it_asks_a_model_of_bedrock(runnable: Path) -> None:
    """The request that botocore signs, and the event stream that it takes apart."""
    code = f"{BEDROCK}{ASK}asyncio.run(ask('bedrock/global.amazon.nova-2-lite-v1:0', None))"
    key = {"AWS_ACCESS_KEY_ID": "EXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "eu-central-1"}
    said = run_alone(runnable, code, **key).splitlines()
    assert said[0].startswith("/model/global.amazon.nova-2-lite-v1")
    assert said[0].endswith("/converse-stream AWS4-HMAC-SHA256 Credential=EXAMPLE")
    assert said[1:] == ["Because ", "it is [1].", "stop"]


PROVIDERS = """
import asyncio, sys
from citestream import provider

async def rehearse(litellm, name):
    litellm.utils.ProviderConfigManager.get_provider_chat_config("m", name)
    question = [{"role": "user", "content": "?"}]
    stream = await litellm.acompletion(
        model=f"{name.value}/m", messages=question, stream=True, mock_response="!", api_key="example"
    )
    return [chunk async for chunk in stream]

async def main():
    litellm = await provider.library()
    for name in litellm.LlmProviders:
        try:
            await rehearse(litellm, name)
        except Exception as error:
            if "No module named" in str(error) or "No such file" in str(error):
                print(name.value, error)
    print(len(litellm.LlmProviders))

asyncio.run(main())
"""


def test_no_provider_misses_what_is_left_out(runnable: Path) -> None:
    *missing, providers = run_alone(runnable, PROVIDERS, OPENAI_API_KEY="sk-only-for-tests").splitlines()
    assert missing == []
    assert int(providers) > 100


def test_it_reads_the_descriptions_of_the_services_that_it_calls(runnable: Path) -> None:
    services = ("bedrock", "bedrock-runtime", "dynamodb", "s3", "s3vectors", "secretsmanager", "ssm", "sts")
    code = f"import boto3\nfor service in {services}: boto3.client(service, region_name='eu-central-1')\nprint('all')"
    assert run_alone(runnable, code) == "all\n"


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    """A copy of the recipe that has no requirements, and a module for code of ours."""
    copy = tmp_path / "functions"
    shutil.copytree(ROOT / "functions" / "architecture", copy / "architecture")
    for name in ("Makefile", "package.py", "run-stream"):
        shutil.copy(ROOT / "functions" / name, copy)
    (copy / "requirements.txt").touch()
    (copy / "left_out.py").write_text("LOCAL = set()\ndef prune(root): pass\n")
    (copy / "citestream").mkdir()
    (copy / "citestream" / "app.py").write_text("version = 1\n")
    return copy


def make_anew(functions: Path, target: str, build: Path, architecture: str = "arm64", **environment: str) -> str:
    return make(f"build-{target}", architecture, build / target, functions, **environment)


@pytest.mark.parametrize("other", ["BufferedFunction", "IngestFunction"])
def test_another_function_gets_the_same(other: str, functions: Path, tmp_path: Path) -> None:
    assert make_anew(functions, "StreamFunction", tmp_path) == "arm64: 0 MB\n"
    (tmp_path / "StreamFunction" / "mark").touch()
    assert make_anew(functions, other, tmp_path) == "arm64: the same as StreamFunction\n"
    assert (tmp_path / other / "mark").exists()


def test_an_artifact_that_was_built_before_is_copied(functions: Path, tmp_path: Path) -> None:
    make_anew(functions, "StreamFunction", tmp_path / "before")
    built_before = {"BUILT": str(tmp_path / "before" / "StreamFunction")}
    assert "the same as" in make_anew(functions, "StreamFunction", tmp_path / "now", **built_before)
    assert "the same as" not in make_anew(functions, "StreamFunction", tmp_path / "other", "x86_64", **built_before)


def test_changed_code_is_built_anew(functions: Path, tmp_path: Path) -> None:
    make_anew(functions, "StreamFunction", tmp_path)
    (functions / "citestream" / "app.py").write_text("version = 2\n")
    assert make_anew(functions, "BufferedFunction", tmp_path) == "arm64: 0 MB\n"
    assert (tmp_path / "BufferedFunction" / "citestream" / "app.py").read_text() == "version = 2\n"


def test_a_python_that_is_not_there_is_named(functions: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-python is not there"):
        make_anew(functions, "StreamFunction", tmp_path, LAMBDA_PYTHON="no-such-python")


def package(functions: Path, artifact: Path, python: Path | None = None) -> str:
    """What the build says when it fails."""
    run = subprocess.run(
        (python or deployed_python(), "-B", functions / "package.py", "arm64", artifact), capture_output=True, text=True
    )
    assert run.returncode == 1, run.stdout
    return run.stderr


@pytest.mark.skipif(sys.version_info[:2] == (3, 13), reason="this is the deployed Python")
def test_another_python_is_refused(functions: Path, tmp_path: Path) -> None:
    assert "needs Python 3.13" in package(functions, tmp_path / "artifact", Path(sys.executable))


def test_a_folder_that_is_not_empty_is_left_alone(functions: Path) -> None:
    assert package(functions, functions).endswith("functions is not empty\n")


def test_a_rule_that_finds_nothing_is_told(functions: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "functions" / "left_out.py", functions)
    assert "there is nothing of this name any more" in package(functions, tmp_path / "artifact")


def test_an_artifact_that_is_too_large_is_refused(functions: Path, tmp_path: Path) -> None:
    with (functions / "citestream" / "large").open("wb") as file:
        file.truncate(150_000_001)
    assert "bytes, of 150,000,000 at most" in package(functions, tmp_path / "artifact")


def test_a_module_that_does_not_compile_is_told(functions: Path, tmp_path: Path) -> None:
    (functions / "citestream" / "app.py").write_text("def\n")
    assert "not every module can be compiled" in package(functions, tmp_path / "artifact")
