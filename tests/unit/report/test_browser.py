"""HTML reports and the map's picture in Debian's Chromium: what axe finds, what they load, how wide and long they are, and
that the keyboard alone suffices."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from dockernet_doctor.__main__ import run
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Compose, State
from tests.unit.report.cases import SNAPSHOT, WEB

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="needs Chromium: sudo apt-get install chromium"
)

Scheme = Literal["light", "dark"]
DESK, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)

PAGES = {
    "check": ["demo"],
    "healthy": ["demo", "check", "cache"],
    "reach": ["demo", "reach", "web", "db:5432"],
    "map": ["demo", "map"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # --no-sandbox: Chromium has none for root, as whom CI runs
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each report as a file; the last is of a hundred containers, of which twenty are paused."""
    directory = tmp_path_factory.mktemp("pages")
    many = tuple(
        replace(
            WEB,
            name=f"shop-web-{i}",
            id=f"{i:064x}",
            ports=(),
            state=State(status="paused", running=True, paused=True) if i % 5 == 0 else WEB.state,
            compose=Compose(project="shop", service=f"web-{i}"),
        )
        for i in range(100)
    )
    hundred = directory / "hundred.bundle"
    bundle.save(str(hundred), bundle.Bundle(snapshot=replace(SNAPSHOT, containers=many)))
    made = {}
    for name, words in {**PAGES, "hundred": ["check", "--bundle", str(hundred)]}.items():
        kind = "svg" if name == "map" else "html"
        made[name] = directory / f"{name}.{kind}"
        assert run([*words, "--output", f"{kind}={made[name]}"]) in (0, 1)
    return made


def opened(browser: Browser, path: Path, size: ViewportSize = DESK, scheme: Scheme = "light") -> tuple[Page, list[str]]:
    """The page, and what it loads or complains of beside itself."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    heard.remove(path.as_uri())
    return page, heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", [*PAGES, "hundred"])
def test_nothing_is_loaded_and_axe_finds_nothing(
    browser: Browser, pages: dict[str, Path], name: str, size: ViewportSize, scheme: Scheme
) -> None:
    page, heard = opened(browser, pages[name], size, scheme)
    if name != "map":
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert heard == []
    page.close()


def test_a_hundred_containers_are_under_five_thousand_pixels(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["hundred"])
    assert page.evaluate("document.documentElement.scrollHeight") < 5000
    page.close()


def test_the_keyboard_alone_opens_every_finding(browser: Browser, pages: dict[str, Path]) -> None:
    """Tab goes through the contents and the headlines, in the order of the page; Enter follows and unfolds."""
    page, _ = opened(browser, pages["check"])
    folded = page.locator("summary").count()
    assert folded > 5
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "A"
    page.keyboard.press("Enter")
    assert page.url.endswith("#findings")
    reached = []
    for _ in range(folded + 5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            reached.append(page.evaluate("document.activeElement.innerText"))
            if not page.evaluate("document.activeElement.parentElement.open"):
                page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            assert page.evaluate("document.activeElement.parentElement.open")
    assert len(set(reached)) == folded
    page.close()
