"""The results table in the page: sortable, with intervals drawn in the cells, and every column explained."""

import json
import math
from dataclasses import dataclass
from html import escape

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.table import METRICS
from glomfeat.results.tables import own_columns
from glomfeat.results.words import figure


@dataclass(frozen=True)
class Column:
    """A column of the page's table.

    Attributes
    ----------
    key : str
        In results.csv.
    title : str
    means : str
        Shown where the pointer or the keyboard rests on the heading.
    digits : int
    more : bool
        Shown only on demand.
    place : int
        Columns stand in order of it; those of metrics have theirs of `glomfeat.metrics.table.Shown`.
    """

    key: str
    title: str
    means: str
    digits: int = 3
    more: bool = False
    place: int = 0


OTHERS = (
    Column("arm", "arm", "What was compared: a feature, how it was reduced, and the classifier on it; or a network."),
    Column(
        "tied_with_best",
        "against the best",
        "The difference in AUROC to the best arm with its 95 % limits, and whether it is more than chance: p "
        "counts cases and is adjusted for the number of arms (Holm). Tied arms must not be ranked.",
        place=2,
    ),
    Column(
        "weights", "weights", "What the feature's network had learned before. Random: it had learned nothing.", place=7
    ),
    Column("fit_s", "train, s", "Seconds to train on one fold, without extracting features.", 2, place=7),
    Column("predict_ms", "ms/image", "Milliseconds to score an image, without extracting features.", 2, True, 7),
    Column("peak_rss_mb", "MB", "Most memory that the process held.", 0, place=7),
    Column(
        "auroc_sd", "SD", "Standard deviation of the AUROC over folds. It says little about new cases.", 3, True, 10
    ),
    Column("inner_auroc", "inner AUROC", "Mean AUROC of inner folds, which chose settings: no result.", 3, True, 10),
    Column(
        "threshold", "threshold", "Mean of the thresholds that the folds chose on their training cases.", 3, True, 10
    ),
    Column("peak_vram_mb", "GPU MB", "Most memory that was held on the GPU.", 0, True, 10),
    Column("parameters", "parameters", "Numbers that a network learns.", 0, True, 10),
)
OWN = "A metric of the authors' own: of the pooled out-of-fold scores of a repeat, mean over repeats."


def columns(classes, own=()):
    """The columns of the table.

    Parameters
    ----------
    classes : int
        Of more than two there is no threshold.
    own : sequence of str
        Metrics of one's own.

    Returns
    -------
    list of Column
    """
    shown = {metric: found for metric in METRICS.values() if (found := metric.on_page(classes))}
    of_metrics = (
        Column(metric.name, at.title or metric.title, at.means or metric.meaning, at.digits, at.more, at.place)
        for metric, at in shown.items()
    )
    mine = (Column(name, name, OWN, place=5) for name in own)
    return sorted([*of_metrics, *mine, *OTHERS], key=lambda column: column.place)


def table_html(results, comparisons, names, classes):
    """The table as HTML, and what it holds as JSON for the buttons that copy it.

    Parameters
    ----------
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    comparisons : pandas.DataFrame
        Of `glomfeat.results.comparisons.comparisons_table`.
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.
    classes : int

    Returns
    -------
    html : str
    payload : str
        JSON that can stand inside a script element.
    """
    shown = [column for column in columns(classes, own_columns(results)) if _has_something(results[column.key])]
    low = results.loc[results["arm"] != FLOOR, "auroc_lo"].min()
    low = 0.0 if not math.isfinite(low) else math.floor(min(low, 0.98) * 20) / 20
    head = "".join(_heading(column, number) for number, column in enumerate(shown))
    apart = {row["arm"]: row for row in comparisons.to_dict("records")}
    rows = [row | {"apart": apart.get(row["arm"])} for row in results.to_dict("records")]
    body = "".join(_row(row, shown, names, low) for row in rows)
    html = (
        f'<div class="scroll" role="region" aria-label="Results, scrolls sideways" tabindex="0"><table id="arms">'
        f'<caption class="unseen">Results, a row an arm; bars reach from {low:.2f} to 1.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return html, as_json(results)


def as_json(results):
    """All columns and rows, for a script element: no text can end the element."""
    table = {"columns": results.columns.tolist(), "rows": json.loads(results.to_json(orient="values"))}
    return json.dumps(table).replace("<", "\\u003c").replace("&", "\\u0026")


def _has_something(values):
    return bool(values.notna().any() and (values != "").any())


def _heading(column, number):
    more = ' class="more"' if column.more else ""
    order = ' aria-sort="descending"' if column.key == "auroc" else ""
    return (
        f'<th scope="col"{more}{order} data-key="{column.key}"><button type="button" aria-describedby="means-{number}">'
        f'{escape(column.title)}</button><span role="tooltip" id="means-{number}">{escape(column.means)}</span></th>'
    )


def _row(row, shown, names, low):
    kind = ' class="floor"' if row["arm"] == FLOOR else ' class="tied"' if row["tied_with_best"] is True else ""
    return f"<tr{kind}>{''.join(_cell(row, column, names, low) for column in shown)}</tr>"


def _cell(row, column, names, low):
    value, more = row[column.key], ' class="more"' if column.more else ""
    if column.key == "arm":
        return _arm_cell(row, names)
    if column.key == "tied_with_best":
        rank, text = _standing(row)
        return f'<td data-v="{rank}">{text}</td>'
    if column.key == "weights":
        text = str(value).split(" sha256:")[0].removeprefix("none, ") or "–"
        marked = f'<strong class="random">{escape(text)}</strong>' if text.startswith("random") else escape(text)
        return f'<td class="words" data-v="{escape(text)}">{marked}</td>'
    if not _known(value):
        return f'<td{more} data-v="">–</td>'
    if column.key == "auroc":
        bar = interval_bar(row["auroc"], row["auroc_lo"], row["auroc_hi"], low)
        limits = f"{figure(row['auroc_lo'])}–{figure(row['auroc_hi'])}"
        text = f'<b>{figure(value)}</b> <span class="limits">{limits}</span>'
        return f'<td class="interval" data-v="{value:.9g}">{bar}<span>{text}</span></td>'
    digits = 0 if column.digits == 1 and value == round(value) else column.digits
    return f'<td{more} data-v="{value:.9g}">{figure(value, digits)}</td>'


def _known(value):
    return isinstance(value, int | float) and math.isfinite(value)


def _arm_cell(row, names):
    said = [f'<span class="arm">{escape(names[row["arm"]])}</span>']
    if row["arm"] != names[row["arm"]]:
        said.append(f"<code>{escape(row['arm']).replace('/', '/<wbr>')}</code>")
    if row["status"] != "done":
        why = " ".join(str(row["reason"]).split()) or "not run yet"
        short = why if len(why) < 160 else why[:157] + "..."
        said.append(f'<span class="status">{escape(row["status"])}: {escape(short)}</span>')
    elif row["reason"]:
        said.append(f'<span class="note">{escape(" ".join(str(row["reason"]).split())[:200])}</span>')
    return f'<th scope="row" data-v="{escape(row["arm"])}">{"".join(said)}</th>'


def _standing(row):
    """How an arm stands to the best one: a number to sort by, and a text."""
    p, apart = row["p_vs_best"], row["apart"]
    if row["arm"] == FLOOR:
        return 3, "floor"
    if not _known(p) or apart is None:
        return (0, "<b>best</b>") if row["tied_with_best"] is True else (4, "–")
    gap = f"{apart['difference']:+.3f}".replace("-", "−")
    limits = f"{apart['lo']:+.3f} to {apart['hi']:+.3f}".replace("-", "−")
    word = "<b>=</b> tied" if row["tied_with_best"] is True else "worse"
    return 1 if row["tied_with_best"] is True else 2, f'{word} {gap}<span class="limits">{limits}; {_p(p)}</span>'


def _p(value):
    return f"p = {value:.3f}" if value >= 0.0005 else "p &lt; 0.001"


def interval_bar(value, low, high, start):
    """An interval on an axis from `start` to 1, as a small drawing.

    Examples
    --------
    >>> interval_bar(0.9, 0.85, 0.95, 0.5).count("<")
    4
    """
    if not all(map(_known, (value, low, high))):
        return ""

    def at(x):
        return 4 + 92 * min(max((x - start) / (1 - start), 0), 1)

    return (
        '<svg class="bar" viewBox="0 0 100 12" aria-hidden="true">'
        f'<path d="M{at(low):.1f} 6H{at(high):.1f}"/><circle cx="{at(value):.1f}" cy="6" r="3.4"/></svg>'
    )


def glossary(classes, own=()):
    """All columns with what they mean, as a list for those who cannot hover, and for paper."""
    items = (f"<dt>{escape(column.title)}</dt><dd>{escape(column.means)}</dd>" for column in columns(classes, own))
    return f"<dl>{''.join(items)}</dl>"
