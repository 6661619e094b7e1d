"""Pages in a browser: nothing scrolls sideways on a phone, figures stay readable there, print keeps them whole."""

import pytest
from helpers.browser import opened_browser
from helpers.reports import write_folder
from helpers.runs import make_run

from glomfeat.report.audit_page import audit_html
from glomfeat.report.write import write_report

pytestmark = pytest.mark.slow
WIDTHS = "[document.scrollingElement.scrollWidth, innerWidth]"
# The smallest text of the drawings that are seen, in pixels of the screen.
TEXT = """Math.min(...[...document.querySelectorAll('.chart svg')].filter((svg) => svg.getBoundingClientRect().width)
  .flatMap((svg) => [...svg.closest('.chart').querySelectorAll('text')].map((text) =>
    parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)))"""
# How many drawings are seen of each broad figure, and how high they are together.
PARTS = """Object.fromEntries([...document.querySelectorAll('.chart.spans')].map((chart) => {
  const seen = [...chart.querySelectorAll('svg')].map((svg) => svg.getBoundingClientRect().height).filter((h) => h);
  return [chart.id, [seen.length, seen.reduce((a, b) => a + b, 0)]]; }))"""
SCROLLING = """[...document.querySelectorAll('body *')].filter((e) => e.scrollWidth > e.clientWidth + 1
  && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map((e) => e.tagName + '.' + e.className)"""

BOX = "const box = (e) => e.getBoundingClientRect().toJSON();"
# How many notes lie over a table, a drawing or a tool.
OVERLAPPING = f"""(() => {{ {BOX}
  const others = [...document.querySelectorAll('table, svg, .tools')].map(box).filter((o) => o.width);
  return [...document.querySelectorAll('.note')].map(box).filter((n) => others.some((o) => n.right > o.left + 1
    && n.left < o.right - 1 && n.bottom > o.top + 1 && n.top < o.bottom - 1)).length; }})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module", params=[2, 3], ids=["two classes", "three classes"])
def report(request, tmp_path_factory):
    return write_report(write_folder(tmp_path_factory.mktemp("report") / "out", make_run(classes=request.param)))


def test_on_a_phone_nothing_scrolls_sideways_and_figures_are_readable(page, report):
    page.open(report, width=400, height=800)
    wide, inner = page.ask(WIDTHS)
    assert wide <= inner == 400 and page.ask(SCROLLING) == []
    assert page.ask(TEXT) >= 7 and page.complaints == []
    parts = page.ask(PARTS)
    assert parts["figure-ranking"][0] > 1 and parts["figure-ranking"][1] > 500
    page.open(report, width=1200)
    assert {seen for seen, _ in page.ask(PARTS).values()} == {1}
    page.open(report, width=400, height=800)
    assert page.ask("document.querySelector('.plain.stacks td').dataset.label") == "arm less good + logistic regression"


def test_on_a_screen_notes_stand_in_the_margin_and_cover_nothing(page, report):
    page.open(report, width=1400)
    assert page.ask(WIDTHS)[0] <= 1400
    assert page.ask(OVERLAPPING) == 0 and page.ask("document.querySelectorAll('.note').length") > 2
    paragraph, note = page.ask(
        f"['p:has(.note)', '.note'].map((s) => {{ {BOX} return box(document.querySelector(s)); }})"
    )
    assert note["left"] >= paragraph["right"]


def test_print_is_no_longer_than_it_need_be(page, report, tmp_path):
    page.open(report, width=1200)
    page.print(tmp_path / "page.pdf")
    pages = (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n")
    assert 0 < pages <= 12


def test_dark_pages_have_light_ink_and_lighter_lines(page, report):
    line = "getComputedStyle(document.documentElement).getPropertyValue('--arm-0').trim()"
    page.open(report)
    light = page.ask(line)
    page.open(report, dark=True)
    assert (light, page.ask(line)) == ("#0072b2", "#3d9bdc")
    assert page.ask("getComputedStyle(document.body).color") == "rgb(232, 230, 227)"


def test_an_audit_on_a_phone_scrolls_nowhere_sideways(page, tmp_path):
    rows = [{"class": "non_globally_sclerotic_glomeruli", "images": 12, "cases": 3, "p95": 820.5}] * 3
    words = {"how": "counted", "why": "w", "remedy": "r", "figures": {}}
    long = "median 715/678.5 px (non_globally_sclerotic_glomeruli/globally_sclerotic_glomeruli/and_another_one)"
    found = {"code": "sizes.by_class", "severity": "severe", "what": long, "rows": rows, **words}
    path = tmp_path / "audit.html"
    path.write_text(audit_html({"said": ["3 images"], "findings": [found], "pictures": []}, None, []), encoding="utf-8")
    page.open(path, width=400, height=800)
    wide, _ = page.ask(WIDTHS)
    assert wide <= 400 and page.ask(SCROLLING) == [] and page.complaints == []
