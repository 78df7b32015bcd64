"""Frames come together from pieces of any size, and nonsense is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.llama import frames
from understudy.agents.llama.frames import Frames, pack


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=5), st.integers(1, 40))
def test_any_pieces(wanted: list[dict[str, str]], size: int) -> None:
    stream = b"".join(pack(dict(f)) for f in wanted)
    reader = Frames()
    got = [f for at in range(0, len(stream), size) for f in reader.feed(stream[at : at + size])]
    assert got == wanted


def test_nonsense_raises() -> None:
    with pytest.raises(ValueError, match="that long"):
        list(Frames().feed(b"llama_print_timings: eval time"))
    with pytest.raises(ValueError):
        list(Frames().feed(b"\0\0\0\x02[]"))
    with pytest.raises(ValueError):
        list(Frames().feed(b"\0\0\0\x02{]"))


def test_too_large_a_frame_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LIMIT", 100)
    with pytest.raises(ValueError, match="more than one frame holds"):
        pack({"x": "y" * 100})
