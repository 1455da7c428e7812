"""What tests of streams stand on: a log in each of the stores."""

from __future__ import annotations

from tests.streams import instances as instances
from tests.streams import log as log
from tests.streams import store as store
