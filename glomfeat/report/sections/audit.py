"""What an audit of the data found, as part of the page."""

from html import escape

from PIL import Image

from glomfeat.checks.data.write import read_audit
from glomfeat.report.thumbnails import as_uri
from glomfeat.results.words import count

WIDEST, HIGHEST = 1100, 4400  # pixels of the sheet of pairs
SHOWN = {"severe": "severe", "warning": "warning", "info": "to know"}


def audit_html(folder):
    """The findings of an audit, the gravest first, and its pictures of near-duplicate pairs.

    Parameters
    ----------
    folder : Path
        That `studies.audit` wrote: audit.json, and pairs.png if it found pairs.

    Returns
    -------
    str
        HTML; empty where there is no audit.
    """
    try:
        found = read_audit(folder)
    except FileNotFoundError:
        return ""
    findings = found["findings"]
    grave = sum(finding["severity"] == "severe" for finding in findings)
    said = (
        f"{count(grave, 'severe finding')} among {count(len(findings), 'check')}. "
        if findings
        else "Nothing was found. "
    )
    return (
        f"<p>{said[0].upper()}{said[1:]}{escape('; '.join(found['said']))}.</p>"
        f'<div class="findings">{"".join(map(_finding, findings))}</div>'
        f"{_pairs(found['sheet'], len(found['pictures']))}"
    )


def _finding(finding):
    level = finding["severity"]
    return (
        f'<details class="finding {level}"{" open" if level == "severe" else ""}><summary><b>{SHOWN[level]}</b> '
        f"{escape(finding['what'])} <code>{escape(finding['code'])}</code></summary><dl><dt>how it was found</dt>"
        f"<dd>{escape(finding['how'])}</dd><dt>why it matters</dt><dd>{escape(finding['why'])}</dd>"
        f"<dt>what to do</dt><dd>{escape(finding['remedy'])}</dd></dl></details>"
    )


def _pairs(path, number):
    """The audit's sheet of pairs as a smaller picture; empty where there is none."""
    if path is None:
        return ""
    with Image.open(path) as sheet:
        sheet = sheet.convert("RGB").crop((0, 0, sheet.width, min(sheet.height, HIGHEST)))
    if sheet.width > WIDEST:
        sheet = sheet.resize((WIDEST, round(sheet.height * WIDEST / sheet.width)), Image.Resampling.LANCZOS)
    pairs = count(number, "pair")
    return (
        '<h3>Images that are nearly the same</h3><figure class="pairs">'
        f'<img src="{as_uri(sheet)}" width="{sheet.width}" height="{sheet.height}" '
        f'alt="{pairs} of images that an audit found to be nearly the same, side by side">'
        "<figcaption>Copies first, then images that are alike, those across cases and classes on top; numbers are "
        "those of the audit's pairs.csv.</figcaption></figure>"
    )
