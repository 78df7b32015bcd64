"""Keys pasted where a name belongs: a name is shown in errors, logs and lists, and kept in the store."""

from __future__ import annotations

import re

_VENDORS = re.compile(
    r"(?:sk|pk|rk)[-_](?:ant|proj|live|test|or)?[-_A-Za-z0-9]{20,}|gsk_\w{16,}|AIza[-\w]{20,}|gh[pousr]_\w{20,}"
    r"|github_pat_\w{20,}|xox[abposr]-[-\w]{16,}|hf_[A-Za-z0-9]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|eyJ[-\w]{16,}"
    r"|us-[0-9a-f]{12}-[0-9a-f]{16,}|(?:csk|xai|nvapi|pplx|tgp|r8|hvs|AQ)[-_.]\w{16,}"
)
_RUN = re.compile(r"[A-Za-z0-9+/]{20,}")
HIDDEN = "[left out: it looks like a key]"
LONGEST = 300  # characters; names and most paths are shorter


def looks_like_key(name: str) -> bool:
    """By a vendor's form, or a long run of letters and digits in which both keep changing."""
    return _VENDORS.search(name) is not None or any(_is_random(run.group()) for run in _RUN.finditer(name))


def shown(name: object) -> str:
    """The name, or that it is not shown."""
    text = str(name)
    if looks_like_key(text):
        return HIDDEN
    return text if len(text) <= LONGEST else f"[left out: {len(text):,} characters]"


def _is_random(run: str) -> bool:
    """GROQ_API_KEY_2 and llama33instantversatile are names; a digit after a letter, and again, is none."""
    changes = len(re.findall(r"(?<=[A-Za-z])[0-9]", run))
    return changes >= 3
