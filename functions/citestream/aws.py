"""AWS, called from an event loop: boto3's clients on threads of their own, its errors told in two kinds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from citestream.errors import StoreUnavailable

T = TypeVar("T")
# As many calls at a time: the knowledge bases of a question are searched side by side.
_THREADS = 16
# Standard mode waits between attempts, with jitter (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
_ATTEMPTS = 4
# Clients wait some 5 s for a first byte: who can't answer by then says so. A connection that died while a function was
# frozen is noticed by its silence.
_CONNECT_SECONDS = 1.0
_READ_SECONDS = {"dynamodb": 1.5}
_READ_SECONDS_ELSE = 5.0
# Who uploads over a line of any kind has time: to connect, which is also how long a piece may take to be sent, to read.
_PATIENT_SECONDS = (10.0, 60.0)
# What is no answer but the lack of one, after all attempts.
_UNAVAILABLE_STATUS = 500
_UNAVAILABLE = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "SlowDown"),
        *("TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"),
        *("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "TransactionInProgressException"),
        *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId", "RequestTimeTooSkewed"),
        *("UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"),
        *("MissingAuthenticationTokenException", "IncompleteSignatureException", "ServiceQuotaExceededException"),
        *("NoSuchBucket", "ResourceNotFoundException"),
        *("KmsDisabledException", "KmsInvalidKeyUsageException", "KmsInvalidStateException", "KmsNotFoundException"),
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403"})


class Denied(StoreUnavailable):
    """AWS does not let us ask: what a policy, or a key's policy, may allow another time."""


class Refused(Exception):
    """AWS has answered, and the answer is no: a condition that does not hold, a key that is not there.

    ``code`` is the error's, as ``ConditionalCheckFailedException``; ``response`` is all that came with it.
    """

    def __init__(self, code: str, message: str, response: dict[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.response = response


class Aws:
    """The services of one region, with the credentials that boto3 finds; nothing is asked before the first call.

    ``patient`` waits as long as lines outside of AWS may take.
    """

    def __init__(self, region: str | None = None, *, patient: bool = False) -> None:
        self._region = region
        self._patient = patient
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    async def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """What the operation of boto3's client of that service returns.

        Raises StoreUnavailable where AWS does not answer, or does not let us ask, and Refused.
        """

        def work(client: Any) -> dict[str, Any]:
            found: dict[str, Any] = getattr(client, operation)(**arguments)
            return found

        return await self.run(service, work)

    async def run(self, service: str, work: Callable[[Any], T]) -> T:
        """What ``work`` returns, done on a thread with boto3's client of that service. Raises as ``call`` does."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, service, work)

    def _run(self, service: str, work: Callable[[Any], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError  # type: ignore[import-untyped]

        try:
            return work(self._client(service))
        except ClientError as error:
            raise _told(f"{service} {error.operation_name}", dict(error.response)) from error
        except ParamValidationError as error:
            raise Refused("ParamValidationError", str(error), {}) from error
        except (BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"{service}: {error}") from error

    def preload(self, service: str) -> None:
        """Begin to make the service's client, which takes some 0.2 s the first time; the next call waits for it.

        Where that fails, the next call fails by it, too.
        """
        self._executor.submit(self._client, service)

    async def aclose(self) -> None:
        """Wait for running calls, then close the connections."""
        await asyncio.to_thread(self._executor.shutdown)
        for client in self._clients.values():
            client.close()

    def _seconds(self, service: str) -> tuple[float, float]:
        if self._patient:
            return _PATIENT_SECONDS
        return _CONNECT_SECONDS, _READ_SECONDS.get(service, _READ_SECONDS_ELSE)

    def _client(self, service: str) -> Any:
        with self._making:  # boto3 makes one client at a time
            if service not in self._clients:
                self._clients[service] = _client(service, self._region, self._seconds(service))
            return self._clients[service]


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns. Who is cancelled goes on when it is over: a call that is under way can't be taken back."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _client(service: str, region: str | None, seconds: tuple[float, float]) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    config = Config(
        connect_timeout=seconds[0],
        read_timeout=seconds[1],
        tcp_keepalive=True,
        max_pool_connections=_THREADS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    return boto3.Session().client(service, region_name=region, config=config)


def _told(call: str, response: dict[str, Any]) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _DENIED:
        return Denied(f"{call}: {code}: {message}")
    if status >= _UNAVAILABLE_STATUS or code in _UNAVAILABLE:
        return StoreUnavailable(f"{call}: {code}: {message}")
    return Refused(code, message, response)
