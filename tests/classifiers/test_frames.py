"""Recall and false alarms on invented texts of many languages, formats and forms, at both operating points."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.classifiers import frames, invented
from understudy.classifiers import detectors
from understudy.classifiers.detectors.readings import fold, views
from understudy.classifiers.detectors.scan import Scan
from understudy.types import Span

NAMES = (
    "Why is {first} so quiet?",
    "{first} {last} will give the talk",
    "we moved here from Trondheim",
    "I work at Hartmann & Sohn",
    "The meeting is on 12 March",
    "{first} shouted at {last}.",
    "my brother just turned 53",
    "She is 41 years old",
    "the plant in Ostrava closed in 1998",
    "{first}: what a day!",
    "zip code 4471",
    "we are proud norwegians",
    "anna and peter went home",
)


def share(corpus: str, point: tuple[detectors.Detector, ...], seed: int, each: int = 3) -> tuple[float, list[str]]:
    """The share of texts in which something was seen, and the frames of the others."""
    rows = [(frame, bool(detectors.find(text, point))) for frame, text in frames.texts(corpus, Random(seed), each)]
    return sum(seen for _, seen in rows) / len(rows), [frame for frame, seen in rows if not seen]


@pytest.mark.parametrize("seed", [1, 2])
def test_recall_and_false_alarms_of_balanced(seed: int) -> None:
    secrets, missed = share(frames.SECRETS, detectors.BALANCED, seed)
    assert secrets >= 0.97, missed
    personal, missed = share(frames.PERSONAL, detectors.BALANCED, seed)
    assert personal >= 0.95, missed
    alarms, _ = share(frames.PUBLIC, detectors.BALANCED, seed)
    assert alarms <= 0.03


def test_strict_sees_what_balanced_sees_and_names_places_and_dates() -> None:
    for corpus in (frames.SECRETS, frames.PERSONAL, "\n".join(NAMES)):
        seen, missed = share(corpus, detectors.STRICT, 3)
        assert seen >= 0.99, missed


def test_balanced_leaves_names_places_and_dates_alone() -> None:
    seen, _ = share("\n".join(NAMES), detectors.BALANCED, 3)
    assert seen == 0


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Karte ４１１１ １１１１ １１１１ １１１１ weg", "card", "４１１１ １１１１ １１１１ １１１１"),
        ("card 4111\u200b1111\u200b1111\u200b1111!", "card", "4111\u200b1111\u200b1111\u200b1111"),
        ("ssn 536\u00ad-90\u00ad-4399", "national_id", "536\u00ad-90\u00ad-4399"),
        ("ssn ٥٣٦-٩٠-٤٣٩٩", "national_id", "٥٣٦-٩٠-٤٣٩٩"),
        ("call +49\u00a0170\u2009123\u201345\u201367", "phone", "+49\u00a0170\u2009123\u201345\u201367"),
        ("mail lena.vogt&#64;posteo&#46;de now", "email", "lena.vogt&#64;posteo&#46;de"),
        ("mail lena.vogt%40posteo.de now", "email", "lena.vogt%40posteo.de"),
        ("to ｌｅｎａ．ｖｏｇｔ＠ｐｏｓｔｅｏ．ｄｅ", "email", "ｌｅｎａ．ｖｏｇｔ＠ｐｏｓｔｅｏ．ｄｅ"),
        ("call 𝟬𝟲 𝟭𝟮 𝟯𝟰 𝟱𝟲 𝟳𝟴 now", "phone", "𝟬𝟲 𝟭𝟮 𝟯𝟰 𝟱𝟲 𝟳𝟴"),
    ],
)
def test_offsets_are_into_the_text_as_it_was_written(text: str, kind: str, value: str) -> None:
    assert value in {text[s.start : s.end] for s in detectors.find(text) if s.type == kind}


def test_what_base64_and_hex_hide_is_seen_where_they_stand() -> None:
    for coded in (
        base64.b64encode(b"write to lena.vogt@posteo.de please").decode(),
        b"write to lena.vogt@posteo.de please".hex(),
    ):
        text = f"payload {coded} end"
        assert any(s.type == "email" and text[s.start : s.end] in coded for s in detectors.find(text))
    harmless = base64.b64encode(b"the quick brown fox jumps over the lazy dog and runs").decode()
    assert detectors.find(f"payload {harmless} end") == ()


def test_a_key_in_two_strings_is_seen_from_its_first_part_to_its_last() -> None:
    key = "ghp_" + "wZ3kP9vRt7Lq2NxB5mYc8HdJ4fGs6TaKeU1o"
    text = f'token = ("{key[:12]}"\n         "{key[12:]}")'
    found = [s for s in detectors.find(text) if s.type == "api_key"]
    assert [(text[s.start : s.start + 4], text[s.end - 4 : s.end]) for s in found] == [("ghp_", key[-4:])]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("aé １4\u200b\u00ad&#64;%41\\u0041\"'+\n.@"), max_size=120))
def test_every_reading_knows_where_its_characters_come_from(text: str) -> None:
    folded = fold(text)
    for view in (folded, *views(Scan(folded.text))):
        over = len(folded.text) if view is not folded else len(text)
        for place in range(len(view.text)):
            back = view.back(Span(place, place + 1, "x"))
            assert 0 <= back.start <= back.end <= over


def test_folding_a_plain_text_changes_nothing() -> None:
    assert fold("Grüße, 12 €").text == "Grüße, 12 €"


HARMLESS = {
    "a picture": "data:image/png;base64," + invented.mixed(Random(1), 400, invented.BASE64),
    "minified code": "!function(e,t){var n=e.a,r=t.b;return n?r(n):0}(window,{a:1,b:function(x){return x*2}});" * 20,
    "a lock file": '"integrity": "sha512-' + invented.mixed(Random(2), 86, invented.BASE64) + '=="',
    "identifiers": "\n".join(f"{Random(n).getrandbits(128):032x}" for n in range(20)),
    "a commit log": "\n".join(f"{Random(n).getrandbits(160):040x} Fix the build" for n in range(20)),
    "versions": "numpy==2.1.0\nurllib3>=2.2.1\nopenssl 3.0.11\nDriver Version: 535.104.05\n",
    "a table": "\n".join(",".join(f"{Random(r * 9 + c).random():.6f}" for c in range(6)) for r in range(30)),
    "a test vector": "Key = 000102030405060708090a0b0c0d0e0f\nPlaintext = 00112233445566778899aabbccddeeff",
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_looks_secret_is_left_alone(text: str) -> None:
    assert detectors.find(text) == ()


def test_the_card_of_every_manual_is_a_card() -> None:
    """4111 1111 1111 1111 cannot be told from a real one by its form, and a wrong word costs a local answer only."""
    assert detectors.find("pay with 4111 1111 1111 1111")


def test_numbers_of_films_and_addresses_of_manuals_are_nobodys() -> None:
    assert detectors.find("call (212) 555-0143 or write to user@example.com, YOUR_API_KEY") == ()


def test_the_benchmark_prints_both_points_and_the_times(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    row = {"text": "mail lena.vogt@posteo.de " * 40, "has_private": True, "kind": "pii", "meta": {"strong": ["EMAIL"]}}
    with gzip.open(tmp_path / "private" / "dev.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "benchmarks/privacy.py", "--data", str(tmp_path), "--json"],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        check=True,
    )
    report = json.loads(done.stdout)
    assert set(report) == {"balanced", "strict"}
    for point in report.values():
        assert point["share_called_private"]["True"] == {"rows": 1, "share": 1.0}
        assert set(point["milliseconds"]) == {"2000", "4000", "200000"}
