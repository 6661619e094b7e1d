"""Figures and sections are found by their folders, and what is not known is an error that says what is."""

import importlib
import sys
from types import SimpleNamespace

import jinja2
import pytest
from helpers.runs import make_run

from glomfeat.report.drawing import Chart
from glomfeat.report.find import find_figures, find_sections
from glomfeat.report.page import load_templates, section_html
from glomfeat.report.sections import cost

SECTION = 'NAME, TITLE, ORDER, TEMPLATE = "mine", "Mine", 15, "charts.html"\n\ndef fill(content):\n    pass\n'
FIGURE = 'NAME, SECTION, ORDER = "mine", "results", 5\n\ndef draw(content):\n    pass\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes a folder of modules, as a package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(name, **modules):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        for stem, text in modules.items():
            (tmp_path / name / f"{stem}.py").write_text(text)
        made.append(name)
        return importlib.import_module(name)

    yield make
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] in made]:
        del sys.modules[loaded]


def test_a_file_in_the_folder_is_a_section_or_a_figure_in_its_order(folder):
    sections = folder("parts_one", late=SECTION.replace("15", "25"), early=SECTION.replace('"mine"', '"early"'))
    assert [section.NAME for section in find_sections(sections)] == ["early", "mine"]
    figures = folder("parts_two", b=FIGURE, a=FIGURE.replace('"mine"', '"other"'))
    assert [figure.NAME for figure in find_figures(figures)] == ["mine", "other"]


def test_the_page_has_these_sections_and_figures():
    assert [section.NAME for section in find_sections()] == [
        *(
            "results",
            "comparisons",
            "joined",
            "sites",
            "figures",
            "use",
            "robustness",
            "ordinal",
            "cases",
            "case-level",
        ),
        *("readers", "subgroups"),
        *("elsewhere", "errors", "inside", "cost", "audit", "made"),
    ]
    of = {}
    for figure in find_figures():
        of.setdefault(figure.SECTION, []).append(figure.NAME)
    order = "forest ranking confusion reliability scores importance training learning leak-price"
    of_one = {one: [one] for one in ("cost", "robustness", "sites", "subgroups", "elsewhere")} | {
        "cases": ["agreement"]
    }
    of_one |= {"use": ["decision-curve", "abstention"], "case-level": ["case-scores"]}
    assert of == {"figures": order.split(), **of_one}


def test_a_figure_of_an_unknown_section_is_an_error(folder):
    figures = folder("parts_three", a=FIGURE.replace("results", "resluts"))
    with pytest.raises(
        LookupError,
        match=r"'mine' belongs to a section 'resluts' .* to one of results, comparisons, joined, sites",
    ):
        find_figures(figures)


def test_a_module_that_lacks_a_part_or_shares_a_name_is_an_error(folder):
    with pytest.raises(LookupError, match=r"parts_four\.a lacks TEMPLATE, fill: it needs NAME, TITLE, ORDER, "):
        find_sections(folder("parts_four", a='NAME, TITLE, ORDER = "a", "A", 1\n'))
    with pytest.raises(LookupError, match=r"parts_five\.b and parts_five\.a are both called 'mine': rename one"):
        find_figures(folder("parts_five", a=FIGURE, b=FIGURE))


def test_a_section_is_left_out_only_without_values_and_figures():
    chart = Chart("x", "Heads & <tails>", "how to read it", "what is seen", "0 0 9 9", 12, "<g/></svg>")
    content = SimpleNamespace(run=make_run())
    assert section_html(cost, content) == ""
    html = section_html(cost, content, [chart])
    assert (
        "<h3>Heads &amp; &lt;tails&gt;</h3>" in html
        and "<g/></svg>" in html
        and 'aria-labelledby="x-title x-desc"' in html
    )


def test_a_value_that_a_template_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        load_templates().get_template("sections/cases.html").render(charts=())
