"""What tests stand on: a log of streams in each of the stores, and a documents bucket."""

from __future__ import annotations

from tests.bucket import bucket as bucket
from tests.streams import instances as instances
from tests.streams import log as log
from tests.streams import store as store
