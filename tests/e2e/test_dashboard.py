"""The dashboard in a real Chromium, against `understudy serve` on a simulated fleet."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway.served import Served, make_key, served

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(BROWSER is None, reason="Chromium is missing: apt-get install chromium, or ./check as root"),
]
CONFIG = """\
[director]
candidate = "claude_code/opus"
[providers.groq]
kind = "rehearsal"
plays = "groq"
script = "groq.toml"
[providers.claude_code]
kind = "rehearsal"
plays = "claude_code"
models = [ { id = "opus" } ]
"""
GROQ = """\
[accounts]
default = ["rehearsal-key"]
[[models]]
id = "llama-3.1-8b-instant"
context = 131072
latency = 3.0
limits = { rpm = 30, tpm = 60000 }
[[models]]
id = "openai/gpt-oss-20b"
context = 131072
limits = { rpm = 30 }
[[models.faults]]
kind = "server_error"
"""
CANARY = "CANARY-7741"
WAIT = 60_000  # milliseconds; the machine may be busy

playwright_api = pytest.importorskip("playwright.sync_api")
Page, Browser = playwright_api.Page, playwright_api.Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def serving(folder: Path, *options: str, port: int = 0) -> Iterator[Served]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "groq.toml").write_text(GROQ)
    with served(folder, *options, config=CONFIG, port=port) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    return make_key(server.folder, "zebra", "chat", "fleet")


@contextmanager
def opened(browser: Browser, url: str, **more: object) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what it complains of: on its console, of its own policy, of requests to anywhere else."""
    context = browser.new_context(**more)
    page, wrong = context.new_page(), list[str]()
    home = urlsplit(url).netloc
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: wrong.append(r.url) if urlsplit(r.url).netloc not in (home, "") else None)
    try:
        page.goto(url)
        yield page, wrong
    finally:
        context.close()


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key with the scope fleet").fill(key)
    page.get_by_role("button", name="Look on").click()
    page.get_by_role("status").filter(has_text=re.compile("^live$")).wait_for(timeout=WAIT)


def left(page: Page, model: str, window: str) -> int:
    meter = page.get_by_role("meter", name=f"{model} {window}:")
    return int(meter.get_attribute("aria-valuenow") or -1)


def test_a_task_shows_its_way_and_windows_go_down(browser: Browser, server: Served, key: str) -> None:
    with opened(browser, server.url) as (page, wrong):
        sign_in(page, key)
        before = left(page, "groq/llama-3.1-8b-instant", "RPM")
        asked = threading.Thread(target=server.chat, args=(key, f"Name a fruit, {CANARY}."))
        asked.start()
        running = page.locator("#tasks li.now").filter(has_text="dispatch groq/llama-3.1-8b-instant")
        running.wait_for(timeout=WAIT)
        row = page.locator("#tasks tbody tr").first
        for stage in ("gate", "classify", "decide", "dispatch"):
            assert stage in row.inner_text()
        assert page.locator("#r-tasks").inner_text() == "1"
        page.locator("#tasks td.good").filter(has_text="answered").first.wait_for(timeout=WAIT)
        asked.join()
        assert left(page, "groq/llama-3.1-8b-instant", "RPM") < before
        assert "tokens today" in page.locator("#r-free-sub").inner_text()
        assert CANARY not in page.content()
        assert wrong == []


def test_a_wrong_key_is_told_and_a_right_one_is_kept_in_the_tab(browser: Browser, server: Served, key: str) -> None:
    with opened(browser, server.url) as (page, _):
        for bad, told in (("us-" + "0" * 12 + "-" + "0" * 64, "not known"), ("\u00e9", "no key")):
            page.get_by_label("Key with the scope fleet").fill(bad)
            page.get_by_role("button", name="Look on").click()
            page.get_by_role("alert").filter(has_text=told).wait_for(timeout=WAIT)
        narrow = make_key(server.folder, "narrow", "chat")
        page.get_by_label("Key with the scope fleet").fill(narrow)
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="does not allow fleet").wait_for(timeout=WAIT)
        sign_in(page, key)
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert key not in page.content()
        page.reload()
        page.get_by_role("status").filter(has_text="live").wait_for(timeout=WAIT)
        page.get_by_role("button", name="Forget the key").click()
        assert page.get_by_label("Key with the scope fleet").is_visible()
        assert page.evaluate("sessionStorage.length") == 0
        page.reload()
        assert page.get_by_label("Key with the scope fleet").is_visible()


def test_another_caller_sees_none_of_it(browser: Browser, server: Served, key: str) -> None:
    spy = make_key(server.folder, "spy", "chat", "fleet")
    server.chat(key)
    server.chat(key, model="groq/openai/gpt-oss-20b")
    with opened(browser, server.url) as (mine, _), opened(browser, server.url) as (theirs, wrong):
        sign_in(mine, key)
        sign_in(theirs, spy)
        mine.locator("#failures td").filter(has_text="overload").first.wait_for(timeout=WAIT)
        mine.locator("#tasks td").filter(has_text="answered").first.wait_for(timeout=WAIT)
        ids = mine.locator("#tasks tbody th .num").all_inner_texts()
        assert ids
        assert theirs.get_by_text("No task yet.").is_visible()
        assert theirs.get_by_text("None today.").is_visible()
        content = theirs.content()
        assert not [name for name in (*ids, "zebra") if name in content]
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, server: Served, key: str, scheme: str) -> None:
    with opened(browser, server.url, color_scheme=scheme) as (page, wrong):
        sign_in(page, key)
        ground, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < sum(map(int, re.findall(r"\d+", ink)[:3]))
        assert dark == (scheme == "dark")
        assert page.evaluate(CONTRAST) == []
        assert wrong == []


# Every visible text against the ground it stands on: 4.5 to 1, as WCAG AA asks of small text.
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const node of document.querySelectorAll("main *, header *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !node.offsetParent || node.closest(".unseen")) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(node.textContent + " " + ((a + .05) / (b + .05)).toFixed(2));
  }
  return bad;
}"""


@pytest.mark.parametrize("width", [360, 768, 920, 1024, 1280])
def test_nothing_scrolls_sideways(browser: Browser, server: Served, key: str, width: int) -> None:
    server.chat(key, model="groq/openai/gpt-oss-20b")
    with opened(browser, server.url, viewport={"width": width, "height": 740}) as (page, wrong):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sign_in(page, key)
        page.locator("#failures td").filter(has_text="overload").first.wait_for(timeout=WAIT)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert wrong == []


def test_with_the_keyboard_and_a_screen_reader(browser: Browser, server: Served, key: str) -> None:
    with opened(browser, server.url) as (page, _):
        page.keyboard.type(key)  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_role("status").filter(has_text="live").wait_for(timeout=WAIT)
        for name in ("Fleet", "Tasks", "Budgets", "Last failures"):
            assert page.get_by_role("heading", name=name, exact=True).is_visible()
        assert page.get_by_role("columnheader", name="Left of each window").is_visible()
        assert page.get_by_role("rowheader", name="groq/llama-3.1-8b-instant").is_visible()
        order = page.get_by_role("button", name="Tightest first")
        assert order.get_attribute("aria-pressed") == "true"
        order.focus()
        page.keyboard.press("Space")
        assert order.get_attribute("aria-pressed") == "false"
        assert (
            page.evaluate("document.querySelectorAll('[onclick], [style*=\"position\"], img:not([alt])').length") == 0
        )


def test_it_comes_back_by_itself_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--no-key") as first:
        port = urlsplit(first.url).port or 0
        context = browser.new_context()
        page = context.new_page()
        page.goto(first.url)
        live = page.get_by_role("status").filter(has_text=re.compile("^live$"))
        live.wait_for(timeout=WAIT)  # nobody asks for a key
        first.stop()
        assert first.process.returncode == 0  # nobody who looks on keeps it from ending
        page.get_by_role("alert").filter(has_text="trying again").wait_for(timeout=WAIT)
        assert "stale" in (page.locator("body").get_attribute("class") or "")
    with serving(tmp_path, "--no-key", port=port):
        live.wait_for(timeout=WAIT)
        assert page.locator("#off").is_hidden()
        assert "stale" not in (page.locator("body").get_attribute("class") or "")
        context.close()


def test_several_workers_say_whose_tasks_are_shown(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--no-key", "--workers", "2") as server, opened(browser, server.url) as (page, _):
        page.get_by_text("one of 2; all other figures are of all of them").wait_for(timeout=WAIT)
