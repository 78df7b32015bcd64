"""Counting tokens without a tokenizer: an estimate for choosing, an upper bound for reserving."""

from __future__ import annotations

_LETTERS = bytes(ord("a") if ord("a") <= byte <= ord("z") else 0 for byte in range(256))
_BLANKS = (b"    ", b"   ", b"  ")
MESSAGE_OVERHEAD = 8  # tokens a chat message costs beside its text (role marks, separators), rounded up


LONGEST_TOKEN = 256  # characters: twice the longest of any vocabulary in use, which is a run of 128 blanks


def lower_bound(characters: int) -> int:
    """Fewer tokens than this no text of that length is made of."""
    return -(-characters // LONGEST_TOKEN)


def estimate(text: str) -> int:
    """About four characters a token, the usual rule for English; never 0 for a text that is not empty."""
    return -(-len(text) // 4)


def upper_bound(text: str) -> int:
    """More tokens than any byte-level BPE vocabulary in use takes for this text.

    Two lower-case letters are always one token in vocabularies of 32k and above; digits, punctuation and capitals
    are counted one by one, up to four blanks in a row as one, other scripts by their UTF-8 bytes, which no byte-level
    vocabulary exceeds.
    """
    raw = text.encode("utf-8", "surrogatepass").replace(b"\t", b" ")
    pairs = raw.translate(_LETTERS).count(b"aa")
    for blanks in _BLANKS:
        raw = raw.replace(blanks, b"_")
    return len(raw) - pairs
