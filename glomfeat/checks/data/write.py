"""Write what an audit found as text, JSON, tables and a picture; and read it back for a report."""

import json
import textwrap
from pathlib import Path

import pandas as pd

from glomfeat.checks.data.sheet import draw_pairs
from glomfeat.core.atomic import write_text, written_whole
from glomfeat.core.words import for_spreadsheets

MARK = {"severe": "SEVERE ", "warning": "warning", "info": "info   "}
WIDTH = 116
DRAWN = 30  # pairs of copies, and as many alike pairs
OF_PAIRS = (
    *("number", "kind", "hard", "similarity", "shared", "degrees", "mirrored", "scale", "found_by", "same_case"),
    *("same_class", "torn", "pseudonym_first", "pseudonym_second", "class_first", "class_second"),
    *("name_first", "name_second"),
)


def as_text(audited):
    """The findings as text, worst first, each with its remedy.

    Returns
    -------
    str
    """
    lines = [*audited.said, ""]
    for finding in audited.findings:
        lines += _folded(f"{MARK[finding.severity]} {finding.code}: {finding.what}", 10)
        if finding.severity != "info":
            lines += _folded(f"          -> {finding.remedy}", 13)
    count = {level: sum(f.severity == level for f in audited.findings) for level in MARK}
    lines += ["", f"{count['severe']} severe, {count['warning']} warnings, {count['info']} for information"]
    return "\n".join(lines) + "\n"


def _folded(text, indent):
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def write_audit(audited, out):
    """Write audit.txt, audit.json, files.csv, and if there are pairs or sites also pairs.csv, pairs.png and sites.csv.

    Parameters
    ----------
    audited : Audited
    out : path-like
        An existing folder.

    Returns
    -------
    list of str
        Names of the files.
    """
    out = Path(out)
    drawn = _draw(audited, out / "pairs.png")
    findings = [finding.plain() for finding in audited.findings]
    plain = {"said": list(audited.said), "findings": findings, "pictures": drawn}
    write_text(out / "audit.json", json.dumps(plain, indent=1, default=_number) + "\n")
    write_text(out / "audit.txt", as_text(audited))
    with written_whole(out / "files.csv") as part:
        for_spreadsheets(pd.DataFrame(audited.odd, columns=["name", "code", "detail"])).to_csv(part, index=False)
    written = ["audit.txt", "audit.json", "files.csv"]
    if audited.pairs is not None:
        with written_whole(out / "pairs.csv") as part:
            for_spreadsheets(audited.pairs[list(OF_PAIRS)]).to_csv(part, index=False, float_format="%.4g")
        written.append("pairs.csv")
    (out / "sites.csv").unlink(missing_ok=True)
    if audited.sites is not None:
        with written_whole(out / "sites.csv") as part:
            for_spreadsheets(audited.sites).to_csv(part, index=False, float_format="%.6g")
        written.append("sites.csv")
    return written + (["pairs.png"] if drawn else [])


def _number(value):
    """Convert NumPy's numbers for JSON."""
    return value.item()


def _draw(audited, path):
    """Draw the pairs that matter most; return the numbers of those drawn."""
    path.unlink(missing_ok=True)
    if audited.pairs is None or audited.pairs.empty:
        return []
    frame = audited.pairs.sort_values(
        ["hard", "same_case", "same_class", "similarity"], ascending=[False, True, True, False]
    )
    frame = frame.groupby("hard", sort=False).head(DRAWN)
    captions = [_caption(row) for row in frame.to_dict("records")]
    draw_pairs(frame, audited.paths, captions, path)
    return frame["number"].tolist()


def _caption(row):
    case = row["pseudonym_first"]
    case += "" if row["same_case"] or not case else f" | {row['pseudonym_second']}"
    label = row["class_first"][:16] + ("" if row["same_class"] else f" | {row['class_second'][:16]}")
    similarity = f"{row['similarity']:.2f}"
    return f"{row['number']}: {row['kind']}, {similarity}\n{case} {label}".replace("–", "-")


def read_audit(out):
    """Read what a report shows of an audit.

    Parameters
    ----------
    out : path-like
        The folder that `write_audit` wrote to.

    Returns
    -------
    dict
        ``said``: list of str. ``findings``: list of dict with ``code, severity, what, how, why, remedy, rows,
        figures``, worst first. ``pictures``: the numbers of the pairs in pairs.png, in its order. ``sheet``: the path
        of pairs.png, or None.

    Raises
    ------
    OSError
        There is no audit in the folder.
    """
    out = Path(out)
    found = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    sheet = out / "pairs.png"
    return found | {"sheet": sheet if sheet.is_file() else None}
