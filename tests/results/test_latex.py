"""The results table in LaTeX: every metric with its limits, what is best and tied, and no command out of a name."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, WEAK, end, make_run

from glomfeat.core.arms import FLOOR
from glomfeat.core.notes import DECISIONS
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.latex import escape_latex, to_latex
from glomfeat.results.tables import results_table


@pytest.fixture(scope="module")
def results():
    return results_table(make_run())


def tables_of(text):
    """Heading and rows of each tabular, cells split."""
    found = []
    for body in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        lines = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if line.endswith(r" \\")]
        found.append(lines)
    return found


def test_every_metric_has_its_limits(results):
    tables, cells = tables_of(to_latex(results, "made up")), {}
    for head, *rows in tables:
        assert all(len(row) == len(head) for row in rows)
        for row in rows:
            name = re.sub(r"\\textsuperscript.*|\\textbf\{(.*)\}", r"\1", row[0])
            cells |= {(name, title): cell for title, cell in zip(head[1:], row[1:], strict=True)}
    row = results.set_index("arm").loc[GOOD]
    assert {title for name, title in cells if name == GOOD} == {metric.title for metric in METRICS.values()}
    for name, metric in METRICS.items():
        digits = 3 if metric.errors_of is None else 1
        limits = [f"{row[end]:.{digits}f}" for end in limits_of(name) if name != "ece"]
        shown = f"{row[name]:.{digits}f}" + (f" ({'--'.join(limits)})" if limits else "")
        assert cells[GOOD, metric.title].replace("$-$", "-") == shown, name


def test_the_best_and_the_tied_are_marked(results):
    text = to_latex(results.assign(tied_with_best=[True, True, None]), "made up")
    assert rf"\textbf{{{GOOD}}} &" in text and rf"{WEAK}\textsuperscript{{$\ast$}} &" in text
    assert rf"{FLOOR} &" in text and "It cannot be told from the best (max-T, 0.05)." in text
    alone = to_latex(results.assign(tied_with_best=[True, False, None]), "made up")
    assert r"\ast" not in alone and text.count(r"\toprule") == text.count(r"\bottomrule") == 4


def test_names_are_no_commands(results):
    odd = r"a_b%c&d#e$f{g}h~i^j\k<l>m|n"
    text = to_latex(results.assign(arm=[odd, "b", "c"]), "100 % of\nx_y")
    expected = (
        r"a\_b\%c\&d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k\textless{}l\textgreater{}m"
        r"\textbar{}n"
    )
    assert escape_latex(odd) == expected and rf"\textbf{{{expected}}}" in text
    plain = re.sub(r"\\[%&#$_{}]|\\text\w+\{\}", "", text)
    assert plain.count("{") == plain.count("}") and r"100 \% of\textbackslash{}nx\_y" in text
    assert not re.search(r"(?<!\\)[#]|(?<!\\)%(?! Needs)", text)


def test_what_did_not_finish_says_why_and_what_is_not_known_is_left_out(results):
    run = end(make_run(), WEAK, "failed", "disk_full & more", range(FOLDS))
    text = to_latex(results_table(run), "made up")
    assert rf"{WEAK} & \multicolumn{{4}}{{l}}{{failed: disk\_full \& more}} \\" in text
    three = to_latex(results_table(make_run(classes=3)), "made up")
    assert "& wrong" in three and "missed" not in three and "false alarms" not in three
    assert "threshold}" not in three and "AUROC &" in three
    assert "Decisions for the class of the largest score: made up" in three and "at 0.5" not in three
    empty = to_latex(results.assign(**dict.fromkeys(METRICS, np.nan), status="planned", reason=""), "none")
    assert "begin{tabular}" not in empty and isinstance(results, pd.DataFrame)


def test_captions_explain_the_columns_that_are_there_and_no_others(results):
    noted = results.assign(reason=["", DECISIONS, ""], status=["done", "done", "partial"])
    captions = re.findall(r"\\caption\{(.*)\}", to_latex(noted, "made up"))
    assert len(captions) == 4 and [("Brier" in one) for one in captions] == [True, False, False, False]
    assert ["Thresholds were set without" in one for one in captions] == [False, True, False, False]
    for one in captions:
        assert "1 of 3 arms did not finish." in one and "\\_t" not in one and "column" not in one
        assert "In brackets are 95 \\% limits, from leaving out each of the cases (jackknife)." in one
    bare = results.assign(**{end: np.nan for name in METRICS for end in limits_of(name)})
    assert "In brackets" not in to_latex(bare, "made up")


def test_captions_name_the_positive_class_of_two(results):
    captions = re.findall(r"\\caption\{(.*)\}", to_latex(results, "made up", "non_GS"))
    assert len(captions) == 4 and all(r"The positive class is non\_GS." in one for one in captions)
    assert "positive class" not in to_latex(results_table(make_run(classes=3)), "made up", "c")


def test_limits_that_are_not_known_are_left_out(results):
    text = to_latex(results.assign(auroc_lo=np.nan), "made up")
    assert f"{results['auroc'][0]:.3f} &" in text
