"""Counting tokens without a tokenizer: an estimate for choosing, an upper bound for reserving."""

from __future__ import annotations

import re

_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]|[ \t]+|\s|[\x21-\x7e]|[^\x00-\x7f]+|.", re.ASCII | re.DOTALL)
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
    are counted one by one, other scripts by their UTF-8 bytes, which no byte-level vocabulary exceeds.
    """
    total = 0
    for run in _RUNS.findall(text):
        first = run[0]
        if "a" <= first <= "z":
            total += (len(run) + 1) // 2
        elif first in " \t":
            total += (len(run) + 3) // 4
        elif first.isascii():
            total += len(run)
        else:
            total += len(run.encode("utf-8", "surrogatepass"))
    return total
