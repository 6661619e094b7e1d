"""The section on what an audit of the data found."""

from PIL import Image

from glomfeat.core.words import capital
from glomfeat.report.thumbnails import as_uri
from glomfeat.results.words import count

NAME, TITLE, ORDER, TEMPLATE = "audit", "Data audit", 70, "sections/audit.html"
WIDEST, HIGHEST = 1100, 4400  # at most, for the sheet of pairs, in pixels
SHOWN = {"severe": "severe", "warning": "warning", "info": "to know"}


def fill(content):
    """Collect the findings of an audit, the most severe first, and its pictures of near-duplicate pairs.

    None if there is no audit.
    """
    found = content.audit
    if found is None:
        return None
    findings, sheet = found["findings"], _sheet(found["sheet"])
    grave = sum(finding["severity"] == "severe" for finding in findings)
    said = f"{count(grave, 'severe finding')} among {count(len(findings), 'check')}. "
    said = capital(said) if findings else "Nothing was found. "
    return {
        "said": said + "; ".join(found["said"]),
        "findings": findings,
        "shown": SHOWN,
        "sheet": sheet and {"uri": as_uri(sheet), "width": sheet.width, "height": sheet.height},
        "pairs": count(len(found["pictures"]), "pair"),
    }


def _sheet(path):
    """Read the audit's sheet of pairs as a smaller picture; None if there is none."""
    if path is None:
        return None
    with Image.open(path) as sheet:
        sheet = sheet.convert("RGB").crop((0, 0, sheet.width, min(sheet.height, HIGHEST)))
    if sheet.width <= WIDEST:
        return sheet
    return sheet.resize((WIDEST, round(sheet.height * WIDEST / sheet.width)), Image.Resampling.LANCZOS)
