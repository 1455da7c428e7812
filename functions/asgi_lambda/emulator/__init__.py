"""A function URL on loopback in front of a faithful Lambda Runtime API, which starts the function's real wrapper.

It shows what AWS does with a response: streams it as it comes, within Lambda's limits and at its pace, and fails as
Lambda fails. ``async with Emulator(Function(root, handler, wrapper), Options(...)) as emulator: emulator.url``.
"""

from asgi_lambda.emulator.emulator import Emulator
from asgi_lambda.emulator.options import Faults, Function, Options
from asgi_lambda.emulator.pace import Pace
from asgi_lambda.emulator.record import Invocation, Post

__all__ = ["Emulator", "Faults", "Function", "Invocation", "Options", "Pace", "Post"]
