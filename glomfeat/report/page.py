"""The page: one self-contained HTML file out of a run's tables and figures."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from glomfeat.report.answer import question, whole_answer
from glomfeat.report.find import find_sections
from glomfeat.report.opening import banners, in_short
from glomfeat.report.sections.table import as_json
from glomfeat.report.words import explain, meet, words_of
from glomfeat.results.words import between, count, figure, p_value, said_of, signed

UNEXPLAINED = ("made",)  # which is text to be copied


def page_html(content, charts):
    """The whole page.

    Parameters
    ----------
    content : glomfeat.report.content.Content
    charts : dict of str to list of glomfeat.report.drawing.Chart
        By the name of their section.

    Returns
    -------
    str
    """
    run, templates = content.run, load_templates()
    parts = [
        (section, section_html(section, content, charts.get(section.NAME, ()), templates))
        for section in find_sections()
    ]
    return fill_page(
        templates,
        title=question(run),
        in_short=in_short(content.loaded),
        banners=banners(content),
        answer=whole_answer(content),
        sections=[(section, html) for section, html in parts if html],
        unit=content.run.manifest.unit,
        made_by=f"glomfeat {content.loaded.identity['glomfeat']} from journal.jsonl, folds.csv and study.yaml of the "
        "folder that this page was written to",
        payload=as_json(content.results),
    )


def fill_page(templates, answer, sections, unit="case", **values):
    """A page of the common make, with its style and script inside, and words explained where they stand first.

    Parameters
    ----------
    templates : jinja2.Environment
        Of `load_templates`.
    answer : list of str
        Sentences.
    sections : list of (object with NAME and TITLE, str)
        Each with its HTML.
    unit : str
        What folds are made of and limits count, ``case`` or ``image``.
    **values
        What ``page.html`` shows; ``payload`` is a table as JSON, where the page has one to sort and copy.

    Returns
    -------
    str
    """
    here, left = files("glomfeat.report"), words_of(unit)
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    said = [sentence.replace(" %", "\N{NO-BREAK SPACE}%") for sentence in answer]
    return templates.get_template("page.html").render(
        style=style,
        script=script,
        answer=said,
        words=meet("\n".join(said), left),
        sections=[
            (section, html if section.NAME in UNEXPLAINED else explain(html, left)) for section, html in sections
        ],
        **{"payload": "{}"} | values,
    )


def section_html(section, content, charts=(), templates=None):
    """One section.

    Parameters
    ----------
    section : module
        Of `glomfeat.report.find.find_sections`.
    content : glomfeat.report.content.Content
    charts : sequence of glomfeat.report.drawing.Chart
        The section's figures.
    templates : jinja2.Environment, optional
        Of `load_templates`, if it is at hand.

    Returns
    -------
    str
        HTML; empty where there is nothing to show.
    """
    values = section.fill(content)
    if values is None and not charts:
        return ""
    template = (templates or load_templates()).get_template(section.TEMPLATE)
    return template.render(charts=charts, **{"unit": content.run.manifest.unit} | (values or {}))


@cache
def load_templates():
    """The report's templates: all text is escaped, and a value that is not given is an error."""
    templates = Environment(
        loader=PackageLoader("glomfeat.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"figure": figure, "said_of": said_of, "signed": signed}
    templates.globals |= {"between": between, "count": count, "p_value": p_value}
    return templates
