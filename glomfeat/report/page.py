"""The page: one self-contained HTML file out of a run's tables and figures."""

from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.data.case_notes import WITHOUT_GROUPS
from glomfeat.report.drawing import to_svg
from glomfeat.report.sections import methods
from glomfeat.report.sections.answer import answer, question
from glomfeat.report.sections.cases import cases_html
from glomfeat.report.sections.checklists import CLAIM, TRIPOD, checklist_html
from glomfeat.report.sections.table import glossary, table_html
from glomfeat.results.comparisons import detectable
from glomfeat.results.doubts import doubts
from glomfeat.results.tables import own_columns
from glomfeat.results.words import count, figure, plain_class

BY_IMAGE = (
    "Split by image: scores are optimistic.",
    "Images of one patient may lie on both sides of every split, so that a classifier is paid for knowing a patient "
    "again. No figure of this page says how well an arm does with a new patient.",
)


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    Attributes
    ----------
    loaded : glomfeat.results.load.Loaded
    results, comparisons, trials, agreement : pandas.DataFrame
        Of `results_table`, `comparisons_table`, `trials_table` and `glomfeat.results.cases.agreement_table`.
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.
    pictures : list of Picture
    gallery, inside, audit : str
        HTML; the last two are empty where there is nothing to show.
    show_names : bool
    """

    loaded: object
    results: object
    comparisons: object
    trials: object
    agreement: object
    names: dict
    pictures: list
    gallery: str
    inside: str
    audit: str
    show_names: bool


def page_html(content):
    """The whole page.

    Parameters
    ----------
    content : Content

    Returns
    -------
    str
    """
    run = content.loaded.run
    table, payload = table_html(content.results, content.comparisons, content.names, len(run.manifest.classes))
    by_name = {picture.name: picture for picture in content.pictures}
    sections = {
        "results": ("Results", _results(content, table)),
        "figures": ("Figures", _charts(by_name, SCORES)),
        "cases": ("By case", cases_html(content, _charts(by_name, ("agreement",)))),
        "errors": ("Errors", content.gallery),
        "inside": ("Where networks looked", content.inside),
        "cost": ("Cost and ranks", _charts(by_name, ARMS)),
        "audit": ("Data audit", content.audit),
        "made": ("How it was made", _made(content)),
    }
    sections = {name: part for name, part in sections.items() if part[1]}
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, (title, _) in sections.items())
    parts = "".join(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{title}</h2>{html}</section>'
        for name, (title, html) in sections.items()
    )
    here = files("glomfeat.report")
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = escape(question(run))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{style}</style></head><body>'
        f'<header><h1>{title}</h1><p class="soft">{escape(_in_short(content.loaded))}</p>'
        f"{_banners(content)}{_answer(content)}</header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{parts}</main>'
        f"<footer><p>Made by glomfeat {escape(content.loaded.identity['glomfeat'])} from journal.jsonl, folds.csv and "
        "study.yaml of the folder that this page was written to. It is no medical device, and its figures are no "
        "evidence of diagnostic performance.</p></footer>"
        f'<script type="application/json" id="payload">{payload}</script><script>{script}</script></body></html>\n'
    )


SCORES = ("forest", "ranking", "confusion", "reliability", "scores", "importance", "training", "learning", "leak-price")
ARMS = ("cost", "critical-difference")


def _in_short(loaded):
    """The data and the split in one line of plain words."""
    manifest = loaded.run.manifest
    held = np.bincount(manifest.labels, minlength=len(manifest.classes))
    parts = ", ".join(f"{n:,} {plain_class(name)}" for n, name in zip(held, manifest.classes, strict=True))
    where = f" of {manifest.table['case'].nunique():,} cases" if manifest.by_case else ""
    return f"{len(manifest):,} images{where}: {parts}; {loaded.about['title'].rpartition('; ')[2]}"


def _shortcut(content):
    """What an arm reaches that sees no tissue, where no other arm is clearly better."""
    known = content.results[content.results["auroc"].notna() & (content.results["arm"] != FLOOR)]
    blind = known[known["feature"].str.startswith("shortcut.")]
    if blind.empty or blind.iloc[0]["tied_with_best"] is not True:
        return []
    row = blind.iloc[0]
    return [
        (
            "",
            f"Size, padding and mean colour alone reach an AUROC of {figure(row['auroc'])}.",
            "No arm is clearly better than one that sees no tissue: what the others learned may be no more than that.",
        )
    ]


def _banners(content):
    loaded, said = content.loaded, []
    if not loaded.run.manifest.by_case:
        known = next((line for line in loaded.run.manifest.said if line.startswith(WITHOUT_GROUPS)), "")
        head, text = BY_IMAGE
        said.append(("bad", head, f"{text} {known[:1].upper()}{known[1:]}.".removesuffix(" .")))
    if not loaded.whole:
        done, planned = loaded.done
        said.append(
            ("", f"{done} of {planned} trials are done.", "All figures are of what is finished; ask again later.")
        )
    failed = content.results[content.results["status"].isin(("failed", "skipped", "partial"))]
    if loaded.whole and len(failed):
        said.append(("", f"{count(len(failed), 'arm')} did not finish.", "The table says why."))
    if loaded.study.get("data", "") is None:
        said.append(("", "The built-in phantom.", "These are cartoons: no figure says anything about patients."))
    said += _shortcut(content)
    random = content.results[content.results["weights"].str.startswith("random")]
    if len(random):
        sources = dict.fromkeys(random["feature"].where(random["feature"] != "", random["arm"]))
        said.append(("", "Random weights, not pretrained:", f"{', '.join(sources)}."))
    said += [("", *doubt) for doubt in doubts(content.results)]
    if len(loaded.quarantine):
        said.append(("", f"{count(len(loaded.quarantine), 'image')} could not be read.", "See how it was made."))
    return "".join(
        f'<div class="banner {kind}" role="note"><p><strong>{escape(head)}</strong> {escape(text)}</p></div>'
        for kind, head, text in said
    )


def _answer(content):
    sentences = answer(content.loaded.run, content.results, content.names, detectable(content.comparisons).median())
    lines = "".join(f'<p class="lead">{escape(said).replace(" %", "&nbsp;%")}</p>' for said in sentences)
    return f'<div class="answer" role="group" aria-label="The answer">{lines}</div>'


def _results(content, table):
    unit = "cases" if content.loaded.run.manifest.by_case else "images"
    return (
        "<p>A row is an arm: a feature, its reduction and a classifier, or a network. All arms were tested on the "
        f"same folds. Limits and comparisons count {unit}. Point at a heading, or move to it with the tab key, to read "
        "what it means; press it to sort.</p>"
        '<div class="tools"><label>Filter <input type="search" id="filter" placeholder="svm, resnet18, random"></label>'
        '<label><input type="checkbox" id="tied"> only the best and what is tied with it</label>'
        '<label><input type="checkbox" id="all"> all columns</label>'
        '<button type="button" id="copy-csv">Copy as CSV</button>'
        '<button type="button" id="copy-latex">Copy as LaTeX</button><span id="said" role="status"></span></div>'
        f"{table}<details><summary>What the columns mean</summary>"
        f"{glossary(len(content.loaded.run.manifest.classes), own_columns(content.results))}</details>"
    )


def _charts(by_name, wanted):
    return "".join(_chart(by_name[name]) for name in wanted if name in by_name)


def _chart(picture):
    return (
        f'<figure class="chart" id="figure-{picture.name}"><h3>{escape(picture.heading)}</h3>{to_svg(picture)}'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _made(content):
    loaded = content.loaded
    text = "".join(f"<p>{escape(part)}</p>" for part in methods.paragraph(loaded))
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in methods.facts(loaded, content.results)
    )
    return (
        f"<h3>For the methods section</h3><blockquote>{text}</blockquote>"
        "<h3>To repeat it</h3><p>In the folder that holds this "
        f"page:</p><pre><code>{escape(methods.command(loaded))}</code></pre><h3>Outer "
        f"folds</h3>{methods.folds_html(loaded.run)}<h3>Files set "
        f"aside</h3>{methods.quarantine_html(loaded, content.show_names)}<h3>Versions, machine, "
        f"weights</h3><dl>{items}</dl>"
        f'<details class="methods"><summary>Seeds of all trials</summary>{methods.seeds_html(content.trials)}</details>'
        '<details class="methods"><summary>Checklists: what this page answers, and what the authors must</summary>'
        f"{checklist_html(CLAIM, 'CLAIM, 2024 update')}{checklist_html(TRIPOD, 'TRIPOD+AI, 2024')}</details>"
    )
