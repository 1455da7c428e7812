"""What the README promises in a form that can be compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

from citestream.settings import PREFIX, Settings

README = Path(__file__).parents[2] / "README.md"


def test_the_settings_table_lists_every_setting_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", README.read_text("utf-8"), re.MULTILINE)
    assert [row for row in rows if row.startswith(PREFIX)] == [PREFIX + name.upper() for name in Settings.model_fields]
