"""Any ASGI app on AWS Lambda with response streaming: a Runtime API client in place of the platform's own.

Started by ``AWS_LAMBDA_EXEC_WRAPPER`` on a managed Python runtime, as ``bootstrap`` in a container image, or by hand
as ``python -m asgi_lambda module:app``. Beyond ASGI's own the scope of a request carries

``aws.event``, ``aws.context``
    What Lambda sent, and a context as handlers get it, with ``get_remaining_time_in_millis``.
``extensions["lambda.deadline"]``
    ``{"at": seconds since 1970, "grace": seconds, "ends_itself": False}``. An app is cancelled ``grace`` seconds
    (``ASGI_LAMBDA_GRACE_SECONDS``, 1.5) before ``at``. One that ends its responses by then itself says so by setting
    ``ends_itself``, and is cancelled 0.5 s before ``at`` only.
"""

from asgi_lambda.context import LambdaContext, request_id, trace_id

__all__ = ["LambdaContext", "request_id", "trace_id"]
