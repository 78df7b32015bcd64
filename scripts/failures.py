"""Prints how many tests failed in the last run of pytest here."""

import json
from pathlib import Path

NOTED = Path(__file__).resolve().parent.parent / ".pytest_cache/v/cache/lastfailed"

print(len(json.loads(NOTED.read_text())) if NOTED.exists() else 0)
