"""Key files: small, plain, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.config.secrets import read_key
from understudy.errors import ConfigError


def test_a_key_file_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    pipe, big = tmp_path / "pipe", tmp_path / "big"
    os.mkfifo(pipe)
    big.write_text("x" * 100_000)
    for path in (pipe, big, Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_key(f"file:{path}")
