"""The page of an evaluation: what a bundle says of new images, made as the page of a comparison is."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from glomfeat import __version__
from glomfeat.bundle.against_labels import Judged
from glomfeat.bundle.model import UNLIKE
from glomfeat.core.atomic import write_text
from glomfeat.core.words import for_spreadsheets, joined
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.drawing import to_chart
from glomfeat.report.figures import agreement, case_scores, confusion, ranking, reliability, scores
from glomfeat.report.page import fill_page, load_templates, section_html
from glomfeat.report.sections import cases as agreement_section
from glomfeat.results.cases import agreement_table, cases_table
from glomfeat.results.curves import scored
from glomfeat.results.external import SLOPE
from glomfeat.results.finished import Finished
from glomfeat.results.percentages import CASE, MEANING, SLIDE, percentages_table
from glomfeat.results.words import between, count, figure, plain_class
from glomfeat.results.write import save_table

FIGURES = (ranking, confusion, reliability, scores)
OF_BOTH = (ranking, scores)  # what one class says nothing of
OF_CASES = (agreement, case_scores)
OF_SLOPE = "1 where scores are as far apart as they should be; below 1 they are too extreme."
MOST_ROWS, MOST_REASONS = 200, 20  # of a table of cases or slides in the page, and of why files have no prediction


@dataclass(frozen=True)
class Evaluation:
    """What a bundle said of some images or rows.

    Attributes
    ----------
    about : dict
        Of the bundle.
    predicted : pandas.DataFrame
        Of evaluation.csv.
    judged : glomfeat.bundle.against_labels.Judged or None
        Where there are labels.
    cases : pandas.DataFrame or None
        Of `glomfeat.bundle.in_cases.in_cases`.
    seen : int
        How many of them the model was trained on.
    unit : str
        ``files`` of images, or ``rows`` of a table.
    notes : tuple of str
        What was said of how they were read.
    show_names : bool
        Whether cases and slides go by their real names.
    """

    about: dict
    predicted: pd.DataFrame
    judged: Judged | None
    cases: pd.DataFrame | None
    seen: int = 0
    unit: str = "files"
    notes: tuple = ()
    show_names: bool = False

    @property
    def arm(self):
        """The arm's name."""
        return self.about["arm"]

    @property
    def name(self):
        """The arm's name in prose."""
        return plain_arms([self.arm])[self.arm]

    @property
    def of(self):
        """What is called, in plural."""
        return "rows" if self.unit == "rows" else "images"

    @property
    def told(self):
        """Rows with a prediction."""
        return self.predicted[self.predicted["prediction"].notna()]


def tables_of(evaluation):
    """The tables of percentages, by what their rows are; slides only where they are not the cases.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    dict of str to pandas.DataFrame
        Of `glomfeat.results.percentages.percentages_table`.
    """
    frame, classes = evaluation.cases, evaluation.about["classes"]
    if frame is None:
        return {}
    same = (frame[CASE].astype(str) == frame[SLIDE].astype(str)).all()
    return {by: percentages_table(frame, classes, by) for by in ((CASE,) if same else (CASE, SLIDE))}


def write_evaluation(evaluation, out):
    """Write the page and the tables of percentages beside an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    out : pathlib.Path
        Of evaluation.csv; others are called as it, see `beside`.

    Returns
    -------
    list of pathlib.Path
        What was written, the page first. Tables of an earlier run for which there is nothing now are deleted.
    """
    tables, page = tables_of(evaluation), beside(out)
    for by, path in page.items():
        if by in tables:
            save_table(for_spreadsheets(tables[by]), path)
        elif by:
            path.unlink(missing_ok=True)
    write_text(page[""], evaluation_html(evaluation, tables))
    return [page[""], *(page[by] for by in tables)]


def beside(out):
    """What is written beside an evaluation.csv: the page, and the tables by what their rows are.

    Examples
    --------
    >>> from pathlib import Path
    >>> [path.name for path in beside(Path("new.csv")).values()]
    ['new.html', 'new_cases.csv', 'new_slides.csv']
    """
    return {"": out.with_suffix(".html"), **{by: out.with_name(f"{out.stem}_{by}s.csv") for by in (CASE, SLIDE)}}


def evaluation_html(evaluation, tables):
    """The page.

    Parameters
    ----------
    evaluation : Evaluation
    tables : dict of str to pandas.DataFrame
        Of `tables_of`.

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
        title=f"What {evaluation.name} says of new {evaluation.of}",
        in_short=_in_short(evaluation),
        banners=banners(evaluation),
        answer=answer(evaluation),
        sections=[(SimpleNamespace(NAME=name, TITLE=title), html) for name, title, html in parts if html],
        made_by=f"glomfeat {__version__} from the evaluation that lies beside this page",
    )


def _fill(templates, name, **values):
    return templates.get_template(f"evaluation/{name}.html").render(**values)


def _figures(templates, content, figures):
    """Those figures of a comparison that there is something to draw of."""
    known = np.isfinite(content.results["auroc"].iloc[0])
    charts = [to_chart(found) for one in figures if known or one not in OF_BOTH if (found := one.draw(content))]
    return templates.get_template("charts.html").render(charts=charts) if charts else ""


def _content(evaluation):
    """What figures and sections of a comparison read, as `glomfeat.report.content.Content`, of one arm in one trial."""
    run, arm = evaluation.judged.run, evaluation.arm
    tables = Finished(**run.given())
    return SimpleNamespace(
        run=run,
        loaded=SimpleNamespace(study={}),
        results=pd.DataFrame([evaluation.judged.beside]),
        names={arm: evaluation.name},
        shown=[arm],
        scored={arm: scored(run, arm)},
        readers=None,
        reliability=tables.reliability,
        tables=tables,
        cases=cases_table(run),
        agreement=agreement_table(run, arm),
    )


def _in_short(evaluation):
    """The data and the bundle in one line."""
    told, classes = evaluation.told, evaluation.about["classes"]
    held = told["prediction"].astype(int).value_counts()
    parts = ", ".join(f"{held.get(code, 0):,} called {plain_class(name)}" for code, name in enumerate(classes))
    trained = evaluation.about["trained_on"]
    of = f"{len(evaluation.predicted):,} {evaluation.unit}: {parts}" if len(told) else "no prediction"
    return (
        f"{of}; {evaluation.arm}, trained on {trained['images']:,} {evaluation.of} of {len(trained['cases']):,} cases"
    )


def answer(evaluation):
    """What the bundle says, and how right that is, in a few sentences.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of str
    """
    judged, classes = evaluation.judged, evaluation.about["classes"]
    if judged is None:
        told = evaluation.told
        called = int((told["prediction"] == len(classes) - 1).sum())
        share = f" ({100 * called / len(told):.1f} %)" if len(told) else ""
        return [
            f"{evaluation.name} calls {called:,} of {len(told):,} {evaluation.of} {plain_class(classes[-1])}{share}. "
            "There are no labels to judge it by."
        ]
    where = f" of {count(judged.cases, 'case')}" if judged.by_case else ""
    return [_ranked(evaluation, f"{judged.images:,} {evaluation.of}{where}"), _decided(evaluation)]


def _ranked(evaluation, on):
    """How well scores rank, beside what the bundle's own study found."""
    found, classes = evaluation.judged.beside, [plain_class(name) for name in evaluation.about["classes"]]
    if not np.isfinite(found["auroc"]):
        return (
            f"Of the {on} with a label, {'all are of one class' if len(classes) == 2 else 'none is of some classes'}, "
            "so that nothing says how well scores tell classes apart."
        )
    of = f"{classes[-1]} from {classes[0]}" if len(classes) == 2 else f"{joined(classes)} apart"
    said = f"On {on}, {evaluation.name} tells {of} with an AUROC of {_limited(found, 'auroc')}"
    if evaluation.seen or not np.isfinite(found["internal_auroc"]):  # images that were learnt are no new ones
        return f"{said}."
    home = f"In cross-validation on its own study it was {_limited(found, 'internal_auroc')}"
    low, high = found["difference_lo"], found["difference_hi"]
    how = "lower here by more than chance" if high < 0 else "higher here by more than chance" if low > 0 else ""
    told = f": it is {how}" if how else ", from which this cannot be told" if np.isfinite(low) else ""
    return f"{said}. {home}{told}."


def _limited(row, name):
    return f"{figure(row[name])} ({between(row[f'{name}_lo'], row[f'{name}_hi'])})"


def _decided(evaluation):
    """What its calls get right and wrong."""
    counts, classes = evaluation.judged.confusion, [plain_class(name) for name in evaluation.about["classes"]]
    values = evaluation.judged.figures.set_index("figure")
    if len(classes) > 2:
        row = values.loc["accuracy"]
        right = f"{counts.trace():,} of {counts.sum():,} {evaluation.of}"
        return f"It calls {right} right ({figure(row['value'])}, {between(row['low'], row['high'])})."
    parts = []
    for code, name, does in (
        (1, "sensitivity", "finds {} of {} {}"),
        (0, "specificity", "falsely calls {} of {} {} so"),
    ):
        row, there = values.loc[name], counts[code].sum()
        if there:
            limits = f"{name} {figure(row['value'])}, {between(row['low'], row['high'])}"
            parts.append(f"{does.format(f'{counts[code, 1]:,}', f'{there:,}', classes[code])} ({limits})")
    return f"At its threshold of {evaluation.about['threshold']['value']:.3g} it {' and '.join(parts)}."


def banners(evaluation):
    """What a reader must know before any figure; as `glomfeat.report.opening.banners`.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of (str, str, str)
    """
    of, judged, said = evaluation.of, evaluation.judged, []
    if evaluation.seen:
        same = ", in all numbers" if of == "rows" else ""
        said.append(
            (
                "bad",
                f"{evaluation.seen} of the {of} are {of} that the model was trained on{same}:",
                "the figures flatter.",
            )
        )
    if judged is not None and not judged.by_case:
        said.append(
            (
                "bad",
                f"Limits are of single {of}.",
                "Cases are not known, and images of one patient are alike: limits are too narrow.",
            )
        )
    if judged is not None and judged.beside["reason"]:
        reason = judged.beside["reason"].replace("the cohort holds", f"these {of} hold")
        said.append(("", "Some figures are missing.", f"{_capital(reason)}."))
    bad = len(evaluation.predicted) - len(evaluation.told)
    if bad:
        said.append(
            (
                "",
                _capital(f"{count(bad, evaluation.unit[:-1])} without a prediction."),
                "The section at the end says why.",
            )
        )
    unlike = int(evaluation.told["status"].str.startswith(UNLIKE).sum())
    if unlike:
        verb = "is" if unlike == 1 else "are"
        said.append(
            (
                "",
                _capital(_capital(f"{count(unlike, of[:-1])} {verb} unlike the training data.")),
                "Scores of them say little.",
            )
        )
    return said


def _capital(text):
    return text[:1].upper() + text[1:]


def _against(evaluation):
    """The figures with their limits, and the confusion matrix in numbers."""
    judged, classes = evaluation.judged, [plain_class(name) for name in evaluation.about["classes"]]
    line = [judged.beside[name] for name in (SLOPE, *limits_of(SLOPE))]
    decided = "for the class with the largest score"
    if len(classes) == 2:
        decided = f"at the threshold of the bundle, {evaluation.about['threshold']['value']:.4g}"
    return {
        "rows": [_figure_row(*row) for row in judged.figures.itertuples(index=False)]
        + ([("calibration slope", *line, OF_SLOPE)] if np.isfinite(line[0]) else []),
        "classes": classes,
        "confusion": list(zip(classes, judged.confusion.tolist(), strict=True)),
        "left": f"each of {count(judged.cases, 'case')}" if judged.by_case else f"each of the {evaluation.of}",
        "decided": decided,
        "images": judged.images,
        "of": evaluation.of,
    }


def _figure_row(name, value, low, high):
    """A figure with its title and what it says, of decisions that are the bundle's own."""
    metric = METRICS.get(f"{name}_t", METRICS[name])
    title, means = (
        text.replace(", at 0.5", "").replace(", at the threshold", "") for text in (metric.title, metric.meaning)
    )
    for at in (" at 0.5", " at the threshold"):
        title = title.removesuffix(at)
    return title, value, low, high, f"{means.removesuffix('.').partition('. ')[0]}."


def _per_case(templates, evaluation, tables, content):
    """Agreement with the truth, and the percentages of cases and slides."""
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
    """A table of percentages as the page shows it."""
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
    """What became of each file, and what was said of it."""
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
