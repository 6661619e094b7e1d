"""The page of an audit: it stands alone, names no file unless asked, and shows pairs side by side."""

import re

import pandas as pd
import pytest
from helpers.pages import Page
from PIL import Image

from glomfeat.report.audit_page import MOST, audit_html
from glomfeat.report.words import WORDS

WORDS_OF = {"how": "counted", "why": "it <matters>", "remedy": "mend it"}


def finding(code, severity, what, *rows):
    return {"code": code, "severity": severity, "what": what, "rows": list(rows), "figures": {}, **WORDS_OF}


FOUND = {
    "said": ["3 images of 2 cases: 2 no, 1 yes", "cases: from names <case>"],
    "findings": [
        finding("duplicates.near", "severe", "1 pairs of copies across cases", {"number": 1, "torn": True}),
        finding(
            "files.broken",
            "warning",
            "2 of 5 files cannot be read: empty file (1 file); no <image> (1 file)",
            {"name": "P7_a.png", "reason": "empty file"},
            {"name": "P8\nb.png", "reason": "no <image>"},
        ),
        finding(
            "classes.balance", "info", "2 no, 1 yes", {"class": "no", "images": 2}, {"class": "yes", "images": 1234}
        ),
        finding("cases.spread", "info", "many cases", *({"case": f"C{k:03d}", "share": 0.5} for k in range(MOST + 3))),
        finding("sizes.by_class", "info", "sizes", {"class": "no", "median": 715.0, "p95": 820.84}, {"part": "all"}),
        finding("new.check", "info", "something new"),
    ],
    "pictures": [1],
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    place = tmp_path_factory.mktemp("pairs")
    paths = [str(place / f"{k}.png") for k in range(3)]
    for k, path in enumerate(paths[:2]):
        Image.new("RGB", (30, 20), (k, 90, 120)).save(path)
    row = {"number": 1, "first": 0, "second": 1, "kind": "copy: turned", "similarity": 0.987, "same_case": False}
    row |= {"same_class": True, "pseudonym_first": "C001", "pseudonym_second": "C002"}
    row |= {"class_first": "no", "class_second": "no", "name_first": "P1_secret.png", "name_second": "P2_secret.png"}
    return pd.DataFrame([row]), paths


@pytest.fixture(scope="module")
def text(pairs):
    return audit_html(FOUND, *pairs)


def test_the_page_stands_alone_and_is_sound(text):
    page = Page(text)
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]+"', "", text) and not re.search(r"@import|fetch\(", text)
    assert all(image["src"].startswith("data:image/jpeg") and image["alt"] for image in page.of("img"))
    assert len(page.ids) == len(set(page.ids)) and len(page.of("h1")) == len(page.of("main")) == 1
    links = [link["href"][1:] for link in page.of("a")]
    assert links == ["read", "counts", "files", "sizes", "copies", "cases", "shortcuts"] and set(links) <= set(page.ids)


def test_what_was_found_stands_first(text):
    said = Page(text).said
    assert (
        "What could be wrong with these data? 3 images of 2 cases: 2 no, 1 yes One severe finding, one warning, "
        in said
    )
    assert said.index("1 pairs of copies across cases.") < said.index("cases: from names <case>")
    assert "it <matters>" in said and "something new" in said


def test_no_file_is_named_unless_asked(text, pairs):
    said = Page(text).said
    assert "P7" not in text and "P8" not in text and "secret" not in text
    assert "2 of 5 files cannot be read: empty file (1 file); no <image> (1 file)" in said
    assert "file 1 empty file" in said
    told = Page(audit_html(FOUND, *pairs, show_names=True)).said
    assert "P7_a.png empty file" in told and "P1_secret.png | P2_secret.png" in told and "P8\\nb.png" in told


def test_pairs_lie_side_by_side_with_what_is_grave(text):
    page = Page(text)
    assert [image["alt"] for image in page.of("img")] == ["Image 1 of pair 1", "Image 2 of pair 1"]
    assert "pair 1 copy: turned, 0.99 across cases C001 and C002; no" in page.said
    assert {"class": "card twin"} in page.of("figure")


def test_tables_are_whole_or_say_what_is_left(text):
    said = Page(text).said
    assert "class images no 2 yes 1,234" in said and "And 3 more: audit.json has all." in said
    assert "class median 95th percentile no 715 821" in said and "part all" in said  # each with its own columns


def test_words_are_explained_once(text):
    box = text[text.index('<div class="answer"') :].partition("</div>")[0]
    notes = re.findall(r"<dt>([^<]+)</dt>", box) + re.findall(r'<span class="note" role="note"><b>([^<]+)</b>', text)
    assert notes == ["case"] and notes[0] in WORDS


def test_an_image_that_has_gone_and_a_table_without_images_have_a_page(pairs):
    frame, paths = pairs
    page = Page(audit_html(FOUND, frame.assign(second=2), paths))
    assert len(page.of("img")) == 1
    nothing = Page(audit_html({"said": [], "findings": [], "pictures": []}, None, []))
    assert "No severe findings, no warnings, and no checks that only inform." in nothing.said
