"""Where the quota book is kept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from understudy.config.settings import BookSettings


@pytest.mark.parametrize(
    "url", ["", "env:BOOK", "redis://h/0", "rediss://u:p@h:6380/1", "postgresql://u@h/d?sslmode=verify-full"]
)
def test_addresses_of_known_kinds_are_taken(url: str) -> None:
    assert BookSettings(url=url).url == url


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "redis:", "secret", "env:", "env:A-B"])
def test_others_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BookSettings(url=url)
    assert "secret" not in str(caught.value)


def test_a_password_does_not_print() -> None:
    assert "secret" not in repr(BookSettings(url="redis://:secret@h/0"))
