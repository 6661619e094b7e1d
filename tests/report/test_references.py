"""References of the methods: all that is cited, nothing else, in a file that BibTeX reads."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.reports import write_folder
from helpers.runs import make_run

from glomfeat.data.images.stain import METHODS
from glomfeat.models.heads.built_in import HEADS
from glomfeat.report import chosen, trained
from glomfeat.report.content import read_content
from glomfeat.report.page import section_html
from glomfeat.report.references import OF_PROGRAMS, WORKS, cited, to_bibtex
from glomfeat.report.sections import comparisons, methods

METHODS_PAGES = [Path(module.__file__) for module in (methods, chosen, trained)]
CITED = re.compile(r"[A-Z]\w+ (?:& [A-Z]\w+ |et al\. )?(?:19|20)\d\d")


def read_bibtex(text):
    """Entries of BibTeX by their keys: kind and fields; braces must match."""
    found = {}
    for kind, key, body in re.findall(r"^@(\w+)\{(\w+),\n(.*?)\n\}$", text, re.DOTALL | re.MULTILINE):
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, re.MULTILINE))
        assert len(fields) == len(body.splitlines()) and all(v.count("{") == v.count("}") for v in fields.values())
        found[key] = kind, fields
    assert len(found) == text.count("\n@") + text.startswith("@")
    return found


def test_what_the_sentences_cite_is_known_and_no_more():
    text = re.sub(r'"\s*\n\s*f?"', "", " ".join(page.read_text(encoding="utf-8") for page in METHODS_PAGES))
    text = " ".join(
        [text, *(method.sentence for method in METHODS.values()), *(head.sentence for head in HEADS.values())]
    )
    assert [name for name in WORKS if name not in text] == []
    known = " ".join(WORKS)
    names = CITED.findall(text)
    assert (
        len(names) > 12
        and [name for name in names if not all(part in known for part in re.findall(r"\w+", name))] == []
    )


def test_a_best_figure_that_could_not_be_corrected_is_not_said_to_be(tmp_path):
    content = read_content(write_folder(tmp_path / "out", make_run()))
    few = replace(content, best_of_many=content.best_of_many.assign(corrected=float("nan")))
    for at, corrected in ((content, True), (few, False)):
        found = methods.fill(at)
        assert ("The best figure was corrected by a bootstrap over cases" in found["paragraphs"][3]) == corrected
        assert ("tsamardinos2018" in read_bibtex(found["references"])) == corrected
        assert ("The corrected AUROC of the best arm comes from" in section_html(comparisons, at)) == corrected


def test_entries_are_those_of_what_is_said():
    said = ["(Tukey 1958; Satterthwaite 1946)", "(Loshchilov & Hutter 2017, 2019)", "with xgboost 3.2.0, torch 2.9."]
    versions = {"glomfeat": "0.9.0", "xgboost": "3.2.0", "torch": "2.9", "scikit-learn": "1.8"}
    found = read_bibtex(to_bibtex(cited(said, versions)))
    assert list(found) == [
        *("loshchilov2017", "loshchilov2019", "satterthwaite1946", "tukey1958", "glomfeat", "chen2016", "paszke2019"),
    ]
    assert found["glomfeat"] == (
        "software",
        {"author": "{The glomfeat authors}", "title": "glomfeat"} | {"version": "0.9.0"},
    )
    assert found["chen2016"][1]["note"] == "xgboost 3.2.0"
    kind, tukey = found["tukey1958"]
    assert kind == "article" and tukey["pages"] == "614" and tukey["year"] == "1958"


@pytest.mark.parametrize("table", [WORKS, OF_PROGRAMS], ids=["works", "programs"])
def test_all_entries_can_be_read_and_have_keys_of_their_own(table):
    found = read_bibtex(to_bibtex(table.values()))
    assert len(found) == len(table)
    for name, work in WORKS.items() if table is WORKS else ():
        assert work.fields["year"] in name and name.split()[0].strip("',").removesuffix("'s") in work.fields["author"]
