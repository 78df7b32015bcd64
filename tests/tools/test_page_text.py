"""Text out of markup: what a reader would see, in linear time on whatever comes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.tools.page_text import decode, extract


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("a<br>b", "a\nb"),
        ("<ul><li>x<li>y</ul>", "- x\n- y"),
        ("<table><tr><td>1<td>2<tr><td>3<td>4</table>", "1 | 2\n3 | 4"),
        ("a<script>if (a<b) { '</div>' }</script>b", "ab"),
        ("a<STYLE>b{}</STYLE >c", "ac"),
        ("a<!-- <p>no --> b", "a b"),
        ("a<!-- never closed", "a"),
        ("<div hidden>no<div>no</div>no</div>yes", "yes"),
        ('<span style="display : none">no</span>yes', "yes"),
        ('<div aria-hidden="true">no</div>yes', "yes"),
        ('<div data-hidden="1">yes</div>', "yes"),
        ("<p hidden>no<p>yes", "yes"),
        ("<svg hidden/>yes", "yes"),
        ("<input hidden>yes", "yes"),
        ("<svg><text>no</text></svg>yes", "yes"),
        ("<template><p>no</template>yes", "yes"),
        ("1 < 2 &lt;b&gt; &amp; &#233;", "1 < 2 <b> & é"),
        ("<a href=\"x>y\" title='>'>link</a>", "link"),
        ("<a href=it's>link</a> more", "link more"),
        ("<p>zero\x00\x1b[31m width", "zero[31m width"),
        ("<!DOCTYPE html><?php x ?>ok", "ok"),
        ("</p>ok</", "ok"),
        ("<", "<"),
        ("", ""),
    ],
)
def test_what_a_reader_sees(markup: str, text: str) -> None:
    lines = [line for line in extract(markup)[1].split("\n") if line]
    assert lines == [line for line in text.split("\n") if line]


def test_the_title_is_the_first() -> None:
    assert extract("<title>A &amp; B\n c</title><svg><title>no</title></svg><title>no</title>")[0] == "A & B c"


BOMBS = {
    "nested": "<div>" * 400_000 + "x",
    "formats": "".join(f"<b id={i}>" for i in range(60_000)) + "<p>x" * 60_000,
    "comments": "<!--" * 500_000,
    "scripts": "<script>" * 250_000,
    "quotes": "<a '" * 500_000,
    "attributes": '<a b="' * 300_000,
    "open": "<a " * 600_000,
    "less": "<" * 2_000_000,
    "ends": "</" * 1_000_000,
    "hidden": "<p hidden>" * 200_000,
    "entities": "&amp" * 500_000,
    "spaces": "<p" + " hidden" * 280_000,
    "controls": "\x01" * 2_000_000,
    "lines": "\n" * 2_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_markup_costs_linear_time(name: str) -> None:
    began = time.process_time()
    extract(BOMBS[name])
    assert time.process_time() - began < 8  # 0.1 to 1.6 s measured; a quadratic scan takes minutes


@given(st.text(alphabet="<>/!-'\"= abhidenscrptyl&;#\x00é\n", max_size=300))
def test_no_markup_crashes(markup: str) -> None:
    title, text = extract(markup)
    assert "\x00" not in title + text


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["utf-7", "hex", "idna"])))
def test_no_bytes_crash(body: bytes, charset: str | None) -> None:
    assert isinstance(decode(body, charset), str)
