"""What is this machine, and what only looks like it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from understudy.config.locality import is_cloud_alias, is_local_host

HERE = ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST", "localhost."]
ELSEWHERE = [
    "127.0.0.1@evil.example",
    "127.0.0.1\\@evil.example",
    "evil.example#@127.0.0.1",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1%2eevil.example",
    "2130706433",
    "0x7f.1",
    "127.1",
    "0.0.0.0",
    "127.0.0.1.",  # a name that DNS is asked for
    "[::ffff:8.8.8.8]",
    "[::1%25evil.example]",
    "lоcalhost",
]


@pytest.mark.parametrize("host", HERE)
def test_this_machine(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize("authority", ELSEWHERE)
def test_not_this_machine(authority: str) -> None:
    assert not is_local_host(urlsplit(f"http://{authority}/v1").hostname or "")


@pytest.mark.parametrize(
    "model", ["x-cloud", "x:cloud", "x:120b-CLOUD", "x-cloud:latest", "x-cloud ", "x:cloud\n", "x-cloud@sha256:0"]
)
def test_cloud_models_of_a_local_server(model: str) -> None:
    assert is_cloud_alias(model)


@pytest.mark.parametrize("model", ["pointcloud:7b", "cloudy", "my-cloudless:1b", "qwen3:8b"])
def test_models_that_only_sound_like_it(model: str) -> None:
    assert not is_cloud_alias(model)
