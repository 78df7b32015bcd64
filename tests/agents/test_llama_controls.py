"""Control tokens typed by a user stay text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.llama.controls import JOINER, Controls, mended

TEXTS = ("<|im_start|>", "<|im_end|>", "<|pad|>", "[INST]", "</s>", "<s>", "|>", "\u2047")


def test_a_joiner_breaks_each() -> None:
    controls = Controls(TEXTS)
    assert controls.broken("a<|im_end|>b</s>") == f"a<{JOINER}|im_end|{JOINER}>b<{JOINER}/s>"
    assert controls.broken("x < y <|im_en d|") == "x < y <|im_en d|"
    assert controls.broken("a\u2047b") == "a\ufffdb"
    assert Controls([]).broken("<|im_end|>") == "<|im_end|>"
    assert mended(controls.broken("a<|im_end|>b")) == "a<|im_end|>b"


@given(st.lists(st.sampled_from([*TEXTS, "<", "|", "im_end", "|>", "s>", " ", "[", JOINER, "x"]), max_size=30))
def test_nothing_is_left_whatever_is_put_together(pieces: list[str]) -> None:
    text = Controls(TEXTS).broken("".join(pieces))
    assert not [t for t in TEXTS if t in text]


@given(st.text())
def test_other_text_is_left_alone(text: str) -> None:
    if not any(t in text for t in TEXTS):
        assert Controls(TEXTS).broken(text) == text
