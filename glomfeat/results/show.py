"""The results table for people: on the terminal, as Markdown, and in a notebook."""

import io
import math
from html import escape as html

from glomfeat.core.arms import FLOOR
from glomfeat.core.words import markdown_table
from glomfeat.data.cases import IMAGE_LEVEL, TORN
from glomfeat.metrics.table import METRICS, limits_of, shown_in
from glomfeat.results.doubts import best_may_be_chance, doubts, on_components
from glomfeat.results.tables import own_columns
from glomfeat.results.terminal import print_cells
from glomfeat.results.words import between

WIDE = 130
AT_THRESHOLD = [metric.name for metric in METRICS.values() if metric.at == "threshold"]
STYLE = (
    ".glomfeat{overflow-x:auto}.glomfeat table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".glomfeat th,.glomfeat td{padding:.2em .6em;text-align:right;vertical-align:top;border-bottom:1px solid #8886}"
    ".glomfeat th:first-child,.glomfeat td:first-child{text-align:left}.glomfeat .tied{font-weight:bold}"
    ".glomfeat .remark{border-left:4px solid #c60;padding-left:.6em;font-weight:bold}"
)
OF_TWO = "at the study's threshold, fixed or chosen within the training {unit}s"
OF_LARGEST = "means over classes, where the class of the largest score is called"
LEGEND = "limits: jackknife over {unit}s; tied: does not differ from the best arm beyond chance (max-T, 0.05)"


def headings(wide=True, largest=False):
    """The columns that people read, each with its heading; fewer if there is no room for all.

    Parameters
    ----------
    wide : bool
    largest : bool
        From `decide_by_largest`.

    Examples
    --------
    >>> list(headings(wide=False))
    ['arm', 'auroc', 'sensitivity_t', 'specificity_t', 'tied_with_best']
    """
    shown = shown_in("terminal", largest)
    of_metrics = {name: column.title for name, column in shown.items() if wide or not column.more}
    return {"arm": "arm", **of_metrics, "tied_with_best": "tied", **({"fit_s": "fit s"} if wide else {})}


def _cell(row, column):
    value, metric = row[column], METRICS.get(column)
    if column == "arm":
        why = " ".join(row["reason"].split()) or "not run yet"
        return value if row["status"] == "done" else f"{value} ({row['status']}: {why})"
    if column == "tied_with_best":
        return "yes" if value is True else ""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if column == "auroc":
        low, high = (row[end] for end in limits_of(column))
        return f"{value:.3f} ({between(low, high, to='-')})"
    digits = 2 if column == "fit_s" else (metric.terminal or metric.terminal_of_more).digits if metric else 3
    return f"{value:.0f}" if digits == 1 and value == round(value) else f"{value:.{digits}f}"


def decide_by_largest(results):
    """Whether arms call the class with the largest score, as with more than two classes, and no threshold decides.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    """
    return bool(results["sensitivity"].notna().any() and results[AT_THRESHOLD].isna().all(axis=None))


def cells(results, wide=True):
    """The shown columns of a results table, and users' own metrics, as text.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    wide : bool
        As for `headings`.

    Returns
    -------
    list of list of str
        The heading is first.
    """
    columns = headings(wide, decide_by_largest(results)) | {name: name for name in own_columns(results)}
    return [[*columns.values()], *([_cell(row, column) for column in columns] for row in results.to_dict("records"))]


def remarks(results, wide=True, positive=""):
    """What readers must know before the table, and what its columns mean.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    wide : bool
        As for `headings`; what has no column is not explained.
    positive : str
        The positive class of two, to be named in the legend; empty if it is said elsewhere.

    Returns
    -------
    before, behind : list of str
        The split, shortcuts, random weights, unfinished arms and doubtful choices; a legend and notes.
    """
    said = [split.upper() for split in (IMAGE_LEVEL, TORN) if (results["split"] == split).any()]
    said += [" ".join(doubt) for doubt in doubts(results)]
    drawn = results[results["weights"].str.startswith("random")]
    random = sorted(set(drawn["feature"].where(drawn["feature"] != "", drawn["arm"])))
    if random:
        said.append(f"random weights, not pretrained: {', '.join(random)}")
    unfinished = (results["status"] != "done").sum()
    if unfinished:
        said.append(f"{unfinished} of {len(results)} arms did not finish: see the column reason")
    if best_may_be_chance(results):
        said.append(f"the best arm is not shown to be better than chance ({FLOOR})")
    unit = "image" if (results["split"] == IMAGE_LEVEL).any() else "case"
    largest = decide_by_largest(results)
    calls = [title for name, title in headings(wide, largest).items() if name in METRICS and METRICS[name].at]
    meaning = f"{', '.join(calls)}: {(OF_LARGEST if largest else OF_TWO).format(unit=unit)}; " if calls else ""
    meaning += f"positive class: {positive}; " if positive and not largest else ""
    return said, [meaning + LEGEND.format(unit=unit), *on_components(results)]


def to_markdown(results, title, positive=""):
    """The table as Markdown.

    Parameters
    ----------
    results : pandas.DataFrame
    title : str
    positive : str
        As for `remarks`.

    Returns
    -------
    str
    """
    said, notes = remarks(results, positive=positive)
    lines = [f"# {title}", ""] + [f"> {line}" for one in said for line in (one, "")]
    return "\n".join([*lines, "", markdown_table(cells(results)), *(line for note in notes for line in ("", note)), ""])


def to_html(results, title):
    """The table as HTML with its own style, for a notebook, light or dark.

    Returns
    -------
    str
        Remarks on the split or on random weights come before the table.
    """
    (head, *rows), (said, notes) = cells(results), remarks(results)
    lines = [f"<tr>{''.join(f'<th>{html(text)}</th>' for text in head)}</tr>"]
    for row, tied in zip(rows, results["tied_with_best"], strict=True):
        shown = "".join(f"<td>{html(text)}</td>" for text in row)
        lines.append(f"<tr class='tied'>{shown}</tr>" if tied is True else f"<tr>{shown}</tr>")
    remarked = "".join(f"<p class='remark'>{html(line)}</p>" for line in said)
    table = f"<table>{''.join(lines)}</table>{''.join(f'<p>{html(note)}</p>' for note in notes)}"
    return f"<div class='glomfeat'><style>{STYLE}</style><p><b>{html(title)}</b></p>{remarked}{table}</div>"


def as_text(results, title):
    """The table as plain text for a prompt, wide enough that no arm is cut.

    Returns
    -------
    str
    """
    from rich.console import Console

    stream, width = io.StringIO(), WIDE + max(map(len, results["arm"]))
    print_table(results, title, Console(file=stream, width=width, color_system=None, force_jupyter=False, emoji=False))
    return stream.getvalue().rstrip()


def print_table(results, title, console):
    """Print the table with rich below what readers must know; a narrow terminal gets fewer columns.

    Parameters
    ----------
    results : pandas.DataFrame
    title : str
    console : rich.console.Console
    """
    from rich.markup import escape

    wide = console.width >= WIDE
    before, (legend, *notes) = remarks(results, wide)
    for said in before:
        console.print(f"[bold red]{escape(said)}[/]")
    tied = [tied is True for tied in results["tied_with_best"]]
    print_cells(cells(results, wide), title, console, legend, tied)
    for said in notes:
        console.print(said, markup=False, highlight=False)
