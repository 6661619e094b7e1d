"""The results table for a paper, in LaTeX."""

import math
import re

from glomfeat.core.words import printable
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.show import decide_by_largest, remarks
from glomfeat.results.tables import finished_first, with_figure
from glomfeat.results.words import as_decided, figure

MOST = 5  # metrics per table, each with its limits, that fit on a page
GROUPS = {"": "Ranking and probabilities", "threshold": "Decisions at the threshold", "0.5": "Decisions at 0.5"}
LARGEST = "Decisions for the class of the largest score"
# what remarks say about columns that no table here has
COLUMN, OF_REASON, OF_BRIER = ": see the column reason", " The reason is in the table.", "Brier score"
MARK = r"\textsuperscript{$\ast$}"
_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"}
_SPECIAL |= {"\N{EN DASH}": "--", "\N{MINUS SIGN}": "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$", "≥": r"$\geq$"}
_ANY = re.compile("|".join(map(re.escape, _SPECIAL)))


def escape_latex(text):
    r"""Escape text so that LaTeX sees no commands in it.

    Examples
    --------
    >>> print(escape_latex("a_b & 95 % of \\input{x}"))
    a\_b \& 95 \% of \textbackslash{}input\{x\}
    """
    return _ANY.sub(lambda found: _SPECIAL[found[0]], printable(text))


def to_latex(results, title, positive=""):
    """The table as LaTeX tables with booktabs rules: every metric with its limits, a few metrics per table.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    title : str
    positive : str
        The positive class of two, to be named in the captions; empty if it is said elsewhere.

    Returns
    -------
    str
        The best arm is bold, and arms that are tied with it are marked.
    """
    lines = [r"% Needs \usepackage{booktabs} in the preamble.", ""]
    largest, (said, (_, *notes)) = decide_by_largest(results), remarks(results)
    said, rows = [*said, *notes], results.to_dict("records")
    said += [f"The positive class is {positive}"] if positive and not largest else []
    best = next(iter(with_figure(finished_first(results[["arm", "status", "auroc"]]))["arm"]), None)
    for at, of in (GROUPS | ({"0.5": LARGEST} if largest else {})).items():
        known = [metric for metric in METRICS.values() if metric.at == at and results[metric.name].notna().any()]
        if largest:  # errors of either kind are then the number of wrong calls
            known = [metric for metric in known if metric.errors_of != 0]
        parts = [known[start : start + MOST] for start in range(0, len(known), MOST)]
        for number, metrics in enumerate(parts, 1):
            label = f"tab:{of.lower().replace(' ', '-')}" + (f"-{number}" if len(parts) > 1 else "")
            titles = [_title(metric, largest) for metric in metrics]
            found = _remarks(results, metrics, said)
            lines += _table(rows, best, dict(zip(metrics, titles, strict=True)), found, f"{of}: {title}", label)
    return "\n".join(lines)


def _title(metric, largest):
    return "wrong" if largest and metric.errors_of is not None else as_decided(metric.title, largest)


def _table(rows, best, titles, remarked, title, label):
    metrics = list(titles)
    tied = [row["tied_with_best"] is True and row["arm"] != best for row in rows]
    said = ["The best arm is bold."] if best else []
    said += [f"{MARK}~It cannot be told from the best (max-T, 0.05)."] if any(tied) else []
    said += [f"{escape_latex(remark)}." for remark in remarked]
    return [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{escape_latex(title)}. {' '.join(said)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}",
        r"\toprule",
        " & ".join(["arm", *map(escape_latex, titles.values())]) + r" \\",
        r"\midrule",
        *(_row(row, metrics, row["arm"] == best, mark) for row, mark in zip(rows, tied, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]


def _remarks(results, metrics, remarked):
    """What readers of a table with these columns must know, without remarks about other columns."""
    known = {metric.name for metric in metrics}
    said = [said_of.removesuffix(COLUMN).removesuffix(OF_REASON).rstrip(".") for said_of in remarked]
    said = [one for one in said if known & {"brier", "ece"} or OF_BRIER not in one]
    if results.filter([end for name in known for end in limits_of(name)]).notna().any(axis=None):
        units = "images" if (results["split"] == IMAGE_LEVEL).any() else "cases"
        said.append(f"In brackets are 95 % limits, from leaving out each of the {units} (jackknife)")
    if any(metric.at == "threshold" for metric in metrics):
        said.append("Thresholds were set without the images that they decide on")
    return said


def _row(row, metrics, is_best, is_tied):
    arm = escape_latex(row["arm"])
    arm = (rf"\textbf{{{arm}}}" if is_best else arm) + (MARK if is_tied else "")
    if row["status"] != "done":
        why = escape_latex(" ".join(row["reason"].split()) or "not run yet")
        if all(math.isnan(row[metric.name]) for metric in metrics):
            return rf"{arm} & \multicolumn{{{len(metrics)}}}{{l}}{{{escape_latex(row['status'])}: {why}}} \\"
        arm += f" ({escape_latex(row['status'])})"
    return " & ".join([arm, *(_cell(row, metric) for metric in metrics)]) + r" \\"


def _cell(row, metric):
    digits = 3 if metric.errors_of is None else 1
    low, high = (row.get(end, math.nan) for end in limits_of(metric.name))
    limits = f" ({figure(low, digits)}--{figure(high, digits)})" if math.isfinite(low) and math.isfinite(high) else ""
    return escape_latex(figure(row[metric.name], digits)) + limits
