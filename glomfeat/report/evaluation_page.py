"""The page of an evaluation: what a bundle says about new images, made like the page of a comparison."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from glomfeat import __version__
from glomfeat.core.atomic import write_text
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.report.drawing import to_chart
from glomfeat.report.evaluation import answer, banners, in_short
from glomfeat.report.figures import agreement, case_scores, confusion, ranking, reliability, scores
from glomfeat.report.page import fill_page, load_templates, section_html
from glomfeat.report.sections import cases as agreement_section
from glomfeat.results.cases import agreement_table, cases_table
from glomfeat.results.curves import scored
from glomfeat.results.external import SLOPE
from glomfeat.results.finished import Finished
from glomfeat.results.percentages import CASE, MEANING, SLIDE, percentages_table
from glomfeat.results.save import save_table
from glomfeat.results.words import count, plain_class

FIGURES = (ranking, confusion, reliability, scores)
OF_BOTH = (ranking, scores)  # figures that need images of several classes
OF_CASES = (agreement, case_scores)
OF_SLOPE = "1 where scores are as far apart as they should be; below 1 they are too extreme."
ERROR = "error"
MOST_ROWS, MOST_REASONS = 200, 20  # rows of a table of cases or slides, and lines on what became of files


def tables_of(evaluation):
    """Make the tables of percentages by case and by slide; by slide only if slides are not the cases.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    dict of str to pandas.DataFrame
        From `glomfeat.results.percentages.percentages_table`.
    """
    frame, classes = evaluation.cases, evaluation.about["classes"]
    if frame is None:
        return {}
    same = (frame[CASE].astype(str) == frame[SLIDE].astype(str)).all()
    return {by: percentages_table(frame, classes, by) for by in ((CASE,) if same else (CASE, SLIDE))}


def errors_of(evaluation):
    """List the labelled images whose call is not their label.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    pandas.DataFrame or None
        ``name``, ``case`` if cases are known, ``truth``, ``called``, scores, ``threshold`` and ``status``; None without
        labels.
    """
    if (judged := evaluation.judged) is None:
        return None
    known = judged.run.manifest.table[["name", "case", "label"] if judged.by_case else ["name", "label"]]
    both = known.merge(evaluation.predicted.rename(columns={"label": "called"}), on="name")
    wrong = both[both["label"] != both["prediction"]].drop(columns="prediction").rename(columns={"label": "truth"})
    return wrong.assign(truth=[evaluation.about["classes"][label] for label in wrong["truth"]])


def write_evaluation(evaluation, out):
    """Write the page, the tables of percentages and that of errors next to an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    out : pathlib.Path
        Path of evaluation.csv; the names of the other files are derived from it, see `beside`.

    Returns
    -------
    list of pathlib.Path
        Paths of what was written: the page, and each table. Tables of an earlier run that are not written now are
        deleted.
    """
    tables, page = tables_of(evaluation), beside(out)
    written = tables if (errors := errors_of(evaluation)) is None else {**tables, ERROR: errors}
    for by, path in page.items():
        if by in written:
            save_table(written[by], path)
        elif by:
            path.unlink(missing_ok=True)
    write_text(page[""], evaluation_html(evaluation, tables))
    return [page[""], *(page[by] for by in written)]


def beside(out):
    """List the files next to an evaluation.csv: the page, and the tables by what their rows are.

    Examples
    --------
    >>> from pathlib import Path
    >>> [path.name for path in beside(Path("new.csv")).values()]
    ['new.html', 'new_cases.csv', 'new_slides.csv', 'new_errors.csv']
    """
    tables = {by: out.with_name(f"{out.stem}_{by}s.csv") for by in (CASE, SLIDE, ERROR)}
    return {"": out.with_suffix(".html"), **tables}


def evaluation_html(evaluation, tables):
    """Write the page as HTML.

    Parameters
    ----------
    evaluation : Evaluation
    tables : dict of str to pandas.DataFrame
        From `tables_of`.

    Returns
    -------
    str
    """
    templates, content = load_templates(), None if evaluation.judged is None else _content(evaluation)
    parts = [
        ("labels", "Against the labels", "" if content is None else _fill(templates, "labels", **_against(evaluation))),
        ("figures", "Figures", "" if content is None else _figures(templates, content, FIGURES)),
        ("cases", "Per case", _per_case(templates, evaluation, tables, content)),
        ("read", "What was read", _fill(templates, "read", **_read(evaluation))),
    ]
    return fill_page(
        templates,
        title=f"What {evaluation.name} says about new {evaluation.of}",
        in_short=in_short(evaluation),
        banners=banners(evaluation),
        answer=answer(evaluation),
        sections=[(SimpleNamespace(NAME=name, TITLE=title), html) for name, title, html in parts if html],
        unit="case" if evaluation.judged is None or evaluation.judged.by_case else "image",
        made_by=f"glomfeat {__version__} from the evaluation that lies beside this page",
    )


def _fill(templates, name, **values):
    return templates.get_template(f"evaluation/{name}.html").render(**values)


def _figures(templates, content, figures):
    """Draw those figures of a comparison for which there is something to draw."""
    known = np.isfinite(content.results["auroc"].iloc[0])
    charts = [to_chart(found) for one in figures if known or one not in OF_BOTH if (found := one.draw(content))]
    return templates.get_template("charts.html").render(charts=charts) if charts else ""


def _content(evaluation):
    """Make a stand-in for `glomfeat.report.content.Content`: the bundle's arm as the only one, in a single trial."""
    run, arm = evaluation.judged.run, evaluation.arm
    tables = Finished(**run.given())
    return SimpleNamespace(
        run=run,
        loaded=SimpleNamespace(study={}, run=run, identity={"threshold": evaluation.about["threshold"]["rule"]}),
        results=pd.DataFrame([evaluation.judged.beside]),
        names={arm: evaluation.name},
        shown=[arm],
        unfinished={},
        first=lambda most: [arm],
        scored={arm: scored(run, arm)},
        readers=None,
        reliability=tables.reliability,
        tables=tables,
        cases=cases_table(run),
        agreement=agreement_table(run, arm),
    )


def _against(evaluation):
    """Collect the figures with their limits, and the confusion matrix in numbers."""
    judged, classes = evaluation.judged, [plain_class(name) for name in evaluation.about["classes"]]
    line = [judged.beside[name] for name in (SLOPE, *limits_of(SLOPE))]
    decided = "for the class with the largest score"
    if len(classes) == 2:
        decided = f"at the threshold of the bundle, {evaluation.about['threshold']['value']:.4g}"
    return {
        "rows": [_figure_row(len(classes), *row) for row in evaluation.figures.itertuples(index=False)]
        + ([("calibration slope", *line, OF_SLOPE)] if np.isfinite(line[0]) else []),
        "classes": classes,
        "confusion": list(zip(classes, judged.confusion.tolist(), strict=True)),
        "left": f"each of {count(judged.cases, 'case')}" if judged.by_case else f"each of the {evaluation.of}",
        "decided": decided,
        "images": judged.images,
        "of": evaluation.of,
    }


def _figure_row(classes, name, value, low, high):
    """Make the row of a figure: title, values and meaning, with decisions as the bundle makes them."""
    metric = METRICS.get(f"{name}_t" if classes == 2 else name, METRICS[name])
    means = metric.said(classes).replace(", at 0.5", "").replace(", at the threshold", "")
    title = metric.title.removesuffix(" at 0.5").removesuffix(" at the threshold")
    return title, value, low, high, f"{means.removesuffix('.').partition('. ')[0]}."


def _per_case(templates, evaluation, tables, content):
    """Write the part on agreement with the truth, and on the percentages of cases and slides."""
    charts = "" if content is None else _figures(templates, content, OF_CASES)
    own = "" if content is None else section_html(agreement_section, content, (), templates)
    if not (charts or tables):
        return ""
    one_each = SLIDE in tables and not tables[SLIDE].duplicated([CASE, "of_class"]).any()
    shown = [_shown(evaluation, by, table) for by, table in tables.items() if by == CASE or not one_each]
    classes = [plain_class(name) for name in evaluation.about["classes"]]
    return _fill(
        templates,
        "cases",
        charts=charts,
        agreement=own,
        tables=shown,
        meaning=MEANING,
        of=evaluation.of,
        classes=classes,
    )


def _shown(evaluation, by, table):
    """Prepare a table of percentages for the page; rows in the order of names would tell which pseudonym is whose."""
    if not evaluation.show_names:
        table = table.sort_values("pseudonym", key=lambda shown: shown.str.partition(" slide ")[0], kind="stable")
    names = table[by] if evaluation.show_names else table["pseudonym"]
    table = table.assign(shown=names, kind=table["of_class"].map(plain_class))
    return {
        "by": by,
        "rows": table.head(MOST_ROWS).to_dict("records"),
        "left": max(0, len(table) - MOST_ROWS),
        "labelled": bool(table["labelled"].any()),
        "without": bool(table["without_prediction"].any()),
    }


def _read(evaluation):
    """Collect what became of each file, and the lines on how they were read."""
    status = evaluation.predicted["status"].value_counts()
    lines = [*evaluation.notes, *(evaluation.judged.notes if evaluation.judged else ())]
    return {
        "status": [*status.head(MOST_REASONS).items()],
        "left": int(status[MOST_REASONS:].sum()),
        "unit": evaluation.unit,
        "notes": lines,
        "about": evaluation.about,
        "trained": evaluation.about["trained_on"],
    }
