"""The page in a headless Chromium without a network."""

from pathlib import Path

import pytest
from report_runs import Sizes, whole_run

from gtn_hpc.report.page import write

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS.split())
        yield found
        found.close()


@pytest.fixture(scope="module")
def written(finished, reported, tmp_path_factory):
    """A page of one run, and one of two runs side by side."""
    directory = tmp_path_factory.mktemp("pages")
    other = whole_run(directory, "other", Sizes(20, 10, 0), "run.seed=3")
    return reported, write([finished, other], directory / "two.html")


@pytest.fixture
def opened(browser):
    """Opens a page; at the end there was no error and no request but for the file itself."""
    contexts, troubles = [], []

    def open_page(path, width=1600, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else 0)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request", lambda request: troubles.append(request.url) if request.url.startswith(("http", "ws")) else 0
        )
        page.goto(path.as_uri())
        charts = page.locator(".chart").count()
        page.wait_for_function(f"document.querySelectorAll('.chart svg').length === {charts}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("runs", [0, 1], ids=["one", "two"])
def test_nothing_overflows_and_text_stands_out(opened, written, width, scheme, runs):
    page = opened(written[runs], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart svg").count() >= 11
    wide = page.evaluate("[...document.querySelectorAll('.chart svg')].filter(s => s.clientWidth > innerWidth).length")
    assert wide == 0
    ink, paper = page.evaluate(
        "['color', 'backgroundColor'].map(n => getComputedStyle(document.body)[n].match(/\\d+/g).slice(0, 3)"
        ".reduce((sum, part) => sum + Number(part), 0))"
    )
    assert (ink < 200 and paper > 600) if scheme == "light" else (ink > 600 and paper < 200)
    label = page.locator(".chart svg .role-axis-title text").first
    assert label.evaluate("e => getComputedStyle(e).fill") == page.evaluate("getComputedStyle(document.body).color")


def test_the_slider_works_by_keyboard(opened, written):
    page = opened(written[0])
    image, slider = page.locator(".viewer img"), page.locator(".viewer input")
    first = image.get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert image.get_attribute("src") != first
    assert page.locator(".viewer output").text_content().startswith("step 2 of 8")
    page.keyboard.press("End")
    assert page.locator(".viewer output").text_content().startswith("step 8 of 8")
    assert "step 8 of 8" in image.get_attribute("alt")
    page.keyboard.press("Home")
    assert image.get_attribute("src") == first


def test_an_architecture_pointed_at_is_drawn(opened, written):
    page = opened(written[0])
    dot = page.locator("#trust .chart svg .mark-symbol path").nth(3)
    dot.scroll_into_view_if_needed()
    dot.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "architecture" in tip.text_content()
    assert "parameters" in tip.text_content()
    assert tip.locator("svg").count() == 1


def test_every_link_of_the_page_leads_somewhere(opened, written):
    page = opened(written[0])
    targets = page.locator('a[href^="#"]').evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len(targets) > 10
    assert all(page.locator(target).count() == 1 for target in targets)


def test_on_paper_all_steps_stand_side_by_side(opened, written):
    page = opened(written[0])
    strip = page.locator(".strip li")
    assert not strip.first.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert all(strip.nth(step).is_visible() for step in range(8))
    assert not page.locator(".viewer").is_visible()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 34, 48)"
