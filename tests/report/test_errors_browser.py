"""Errors in a browser: a click enlarges, an arm is chosen, labels are changed by keys and read by the next study."""

import pandas as pd
import pytest
from helpers.browser import opened_browser
from helpers.reports import write_folder
from helpers.runs import make_run

from glomfeat.data.labels.corrections import digest_of_name
from glomfeat.data.manifest import read_manifest
from glomfeat.report.write import write_report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_figures")]
SHOWN = "[...document.querySelectorAll('.gallery > :not([hidden])')].map((card) => Number(card.dataset.row))"
LISTS = "[...document.querySelectorAll('.gallery')].flatMap((part) => JSON.parse(part.dataset.lists)[{}])"
WIDER = "[...document.querySelectorAll('#errors *')].filter((e) => e.getBoundingClientRect().right > innerWidth)"


@pytest.fixture(scope="module")
def study(tmp_path_factory, phantom_folder):
    """A study of the phantom, with one label turned over."""
    from helpers.running import run_study

    place = tmp_path_factory.mktemp("study")
    manifest = read_manifest(phantom_folder)
    table = manifest.table[["name", "case"]].assign(label=manifest.labels ^ (manifest.table.index == 4))
    table.assign(path=manifest.table["path"]).drop(columns="name").to_csv(place / "labels.csv", index=False)
    options = {"features": ("classical", "shortcut"), "reducers": ("none",), "heads": ("logreg",), "size": 32}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.data.splits.MOST_DEALS", 1)
        run, results, *_ = run_study(place, data=str(place / "labels.csv"), folds=2, **options)
    write_report(place / "out", results=results)
    return place, run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def test_an_arm_is_chosen_and_a_click_enlarges(page, study):
    place, _ = study
    page.open(place / "out" / "report.html")
    assert page.ask(SHOWN) == page.ask(LISTS.format(0))
    for choice in (2, 1):
        page.ask(f"(() => {{ const s = document.getElementById('whose'); s.value = '{choice}';"
                 " s.dispatchEvent(new Event('change')); })()")  # fmt: skip
        shown = page.ask(SHOWN)
        assert shown == page.ask(LISTS.format(choice)) and shown
        visible = page.ask("[...document.querySelectorAll('[data-choice]')].filter((p) => !p.hidden).length")
        assert visible == 2
    page.click(".gallery > :not([hidden]) .enlarge")
    large = "(() => { const d = document.getElementById('large'), i = d.querySelector('img');"
    large += " return [d.open, i.alt, i.naturalWidth > 0, i.getBoundingClientRect().width]; })()"
    is_open, alt, loaded, width = page.ask(large)
    assert is_open and loaded and width > 600 and alt.startswith("Image C0")
    page.press("ArrowRight")
    assert page.ask(large)[1] != alt
    page.press("ArrowLeft")
    assert page.ask(large)[1] == alt
    page.press("Escape")
    assert not page.ask(large)[0] and page.ask("document.activeElement.className") == "enlarge"
    assert page.complaints == []


def test_a_page_without_pictures_takes_keys_and_marks_the_row(page, tmp_path):
    out = write_folder(tmp_path / "out", make_run(classes=3), data="t.csv", table=True)
    write_report(out)
    page.open(out / "errors.html")
    row = "(k) => document.querySelectorAll('#list > tbody > tr')[k]"
    first = page.ask(f"({row})(0).cells[1].textContent")
    page.press("2" if first == "a" else "1")
    decided = page.ask(f"({row})(0).querySelector('.decided').textContent")
    assert decided == ("change to b" if first == "a" else "change to a")
    assert page.ask(f"({row})(1).className") == "at"
    page.click("#list > tbody > tr:nth-child(3) th")
    assert page.ask("document.getElementById('where').textContent").startswith("3 of ")
    page.open(out / "report.html", width=400)
    assert page.ask(SHOWN) == page.ask(LISTS.format(0)) and not page.ask("document.images.length")
    assert page.ask(f"{WIDER}.length") == 0
    assert page.complaints == []


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_scrolls_sideways(page, study, width):
    place, _ = study
    page.open(place / "out" / "errors.html", width=width)
    assert page.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.open(place / "out" / "report.html", width=width)
    assert page.ask(f"{WIDER}.length") == 0


def test_labels_are_changed_by_keys_and_the_next_study_reads_them(page, study):
    place, run = study
    page.open(place / "out" / "errors.html")
    where = "document.getElementById('where').textContent"
    count = page.ask("document.querySelectorAll('#list > tbody > tr').length")
    assert count >= 3 and page.ask(where).startswith(f"1 of {count}: ")
    page.click("#save")
    assert page.ask("document.getElementById('told').textContent") == "Nothing is decided yet."
    page.press("c")
    assert page.ask(where).startswith(f"2 of {count}: ")
    page.press("a")
    page.press("ArrowLeft")
    assert page.ask(where).endswith("decided: accept. 2 decided, 1 to change.")
    page.press("ArrowRight")
    page.click("#skip")
    page.open(place / "out" / "errors.html")  # what was decided is still there
    assert page.ask(where).endswith("3 decided, 1 to change.")
    picture = "document.querySelector('.item:not([hidden]) img.big')"
    assert page.ask(f"{picture}.naturalWidth") > 0 and page.ask(f"{picture}.getBoundingClientRect().width") > 300
    page.click("#save")
    path = page.saved("labels_corrected.csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert table["decision"].tolist() == ["change", "accept", "skip"] and table["labels_of"].tolist() == [""] * 3
    assert (table["label"] != table["label_before"]).tolist() == [True, False, False]
    names = {digest_of_name(name): name for name in run.manifest.table["name"]}
    before = read_manifest(place / "labels.csv")
    after = read_manifest(place / "labels.csv", labels=path)
    changed = before.table["name"][before.labels != after.labels].tolist()
    assert changed == [names[table["name_sha256"][0]]]
    page.click("#anew")
    assert page.ask(where).endswith("0 decided, 0 to change.") and page.complaints == []
