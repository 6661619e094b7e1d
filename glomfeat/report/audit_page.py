"""The page of an audit: its findings by topic, with the pairs of images that show the same."""

import itertools
from types import SimpleNamespace

from markupsafe import escape

from glomfeat import __version__
from glomfeat.checks.data.write import read_audit
from glomfeat.core.atomic import write_text
from glomfeat.core.words import capital, printable
from glomfeat.report.page import fill_page, load_templates
from glomfeat.report.sections.audit import SHOWN
from glomfeat.report.thumbnails import as_uri, read_square
from glomfeat.results.words import count, is_known

# Sections of the page: name, title, and the beginnings of the codes of its findings; all other findings come last.
SECTIONS = (
    ("counts", "Counts", ("classes.", "columns.")),
    ("files", "Files", ("files.", "manifest", "feature.")),
    ("sizes", "Sizes", ("sizes.",)),
    ("copies", "Copies and pairs", ("duplicates.",)),
    ("cases", "Cases and folds", ("cases.", "folds.")),
    ("shortcuts", "Shortcuts", ("shortcut.", "sites.", "")),
)
MOST = 24  # rows of a finding's table
TITLES = {"p5": "5th percentile", "p95": "95th percentile", "balanced_accuracy": "balanced accuracy", "name": "file"}


def write_audit_page(audited, out, show_names=False):
    """Write audit.html next to what `glomfeat.checks.data.write.write_audit` wrote.

    Parameters
    ----------
    audited : glomfeat.checks.data.run.Audited
    out : Path
    show_names : bool
        Show names of files. Whether cases have names or pseudonyms was decided when the audit was made.

    Returns
    -------
    str
        The name of the file.
    """
    write_text(out / "audit.html", audit_html(read_audit(out), audited.pairs, audited.paths, show_names))
    return "audit.html"


def audit_html(found, pairs, paths, show_names=False):
    """Write the page of an audit as HTML.

    Parameters
    ----------
    found : dict
        From `glomfeat.checks.data.write.read_audit`.
    pairs : pandas.DataFrame or None
        From `glomfeat.checks.data.leaks.described`.
    paths : sequence of str
        Paths of the images that `pairs` numbers.
    show_names : bool

    Returns
    -------
    str
    """
    templates, by_section, sections = load_templates(), _by_section(found["findings"]), []
    template = templates.get_template("sections/audit_part.html")
    cards = [] if pairs is None else _cards(found["pictures"], pairs, paths, show_names)
    for name, title, _ in SECTIONS:
        findings = [_shown(finding, show_names) for finding in by_section[name]]
        if findings:
            html = template.render(findings=findings, shown=SHOWN, cards=cards if name == "copies" else [])
            sections.append((SimpleNamespace(NAME=name, TITLE=title), html))
    return fill_page(
        templates,
        title="What could be wrong with these data?",
        in_short=found["said"][0] if found["said"] else "",
        banners=[],
        answer=_answer(found["findings"], show_names),
        sections=[*_what_was_read(found["said"][1:]), *sections],
        made_by=f"glomfeat {__version__} from audit.json of the folder that this page was written to, and from images",
    )


def _what_was_read(said):
    """Make a section of how the data were read."""
    if not said:
        return []
    lines = "".join(f"<li>{escape(printable(line))}</li>" for line in said)
    return [(SimpleNamespace(NAME="read", TITLE="What was read"), f"<ul>{lines}</ul>")]


def _answer(findings, show_names):
    """Say how many findings there are, and what the severe ones are."""
    number = {level: sum(finding["severity"] == level for finding in findings) for level in SHOWN}
    first = (
        f"{count(number['severe'], 'severe finding')}, {count(number['warning'], 'warning')}, and "
        f"{count(number['info'], 'check')} that only inform"
    )
    grave = [_shown(finding, show_names)["what"] for finding in findings if finding["severity"] == "severe"]
    return [f"{capital(first)}.", *(f"{capital(what)}." for what in grave)]


def _by_section(findings):
    found = {name: [] for name, _, _ in SECTIONS}
    for finding in findings:
        name = next(name for name, _, starts in SECTIONS if finding["code"].startswith(starts))
        found[name].append(finding)
    return found


def _shown(finding, show_names):
    """A finding with its rows as tables; files are numbered where names are not to be shown."""
    rows = [dict(row) for row in finding["rows"]]
    for number, row in enumerate(rows, 1):
        if "name" in row and not show_names:
            row["name"] = f"file {number}"
    drawn = finding["code"].startswith("duplicates.")  # these are shown as pairs of pictures, which say all of it
    alike = itertools.groupby([] if drawn else rows, key=list)
    tables = [_table(columns, list(of)) for columns, of in alike]
    return finding | {"what": printable(finding["what"]), "tables": tables}


def _table(columns, rows):
    """Make a table of rows that have the same columns, as many as the page has room for."""
    return {
        "columns": [TITLES.get(column, column.replace("_", " ")) for column in columns],
        "rows": [[_cell(row[column]) for column in columns] for row in rows[:MOST]],
        "more": len(rows) - MOST,
    }


def _cell(value):
    """Write a cell of a finding's table as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_known(value):
        return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"
    return "" if value is None or isinstance(value, float) else printable(value)


def _cards(numbers, pairs, paths, show_names):
    """Make the cards of pairs, the most important first."""
    rows = pairs.set_index("number")
    return [_card(number, rows.loc[number], paths, show_names) for number in numbers]


def _card(number, row, paths, show_names):
    cases = dict.fromkeys(filter(None, (row["pseudonym_first"], row["pseudonym_second"])))
    classes = dict.fromkeys((row["class_first"], row["class_second"]))
    called = " | ".join(map(printable, (row["name_first"], row["name_second"]))) if show_names else f"pair {number}"
    flags = [] if row["same_case"] or len(cases) < 2 else ["across cases"]
    flags += [] if row["same_class"] else ["across classes"]
    squares = [read_square(paths[row[end]]) for end in ("first", "second")]
    return {
        "called": called,
        "kind": f"{row['kind']}, {row['similarity']:.2f}",
        "who": "; ".join(filter(None, (" and ".join(map(printable, of)) for of in (cases, classes)))),
        "flags": ", ".join(flags),
        "uris": [as_uri(square) for square in squares if square],
    }
