"""errors.html: labels in doubt and errors, large, one after the other, with keys to accept, change or skip a label."""

from functools import partial
from importlib.resources import files

import numpy as np

from glomfeat.core.words import number_of
from glomfeat.data.labels.corrections import AFTER, BASE, BEFORE, DIGEST, digest_of_name
from glomfeat.report.cards import card, why_no_pictures
from glomfeat.report.made import command
from glomfeat.report.opening import in_short
from glomfeat.report.page import load_templates
from glomfeat.report.sections.table import for_script
from glomfeat.report.thumbnails import find_images, read_fitting
from glomfeat.results.calls import choose_errors, image_names
from glomfeat.results.words import count, plain_class

MOST = {True: 100, False: 300}  # images, with their pictures and without
SIDE = 640


def checking_html(content):
    """Write the whole page as HTML.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    str
    """
    manifest, doubt = content.run.manifest, content.tables.doubt
    errors, _ = choose_errors(content.calls, np.ones(len(manifest), bool), len(manifest))
    rows = list(dict.fromkeys([*doubt.rows.tolist(), *errors.tolist()]))
    total, rows = len(rows), rows[: MOST[content.images is not None]]
    called = image_names(manifest, content.show_names)
    near = content.nearest.rows(rows)
    paths = find_images(content.images, manifest.table["name"].iloc[[*rows, *near]].tolist())
    suggested = dict(zip(doubt.rows.tolist(), doubt.suggested.tolist(), strict=True))
    picture = partial(read_fitting, side=SIDE)
    items = [
        card(row, content, called, paths, picture)
        | {
            "suggested": plain_class(manifest.classes[suggested[row]]) if row in suggested else "",
            "votes": f"{doubt.votes[row]} of {number_of(doubt.arms[row], 'arm')}",
        }
        for row in rows
    ]
    here = files("glomfeat.report")
    style = "".join(here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "checking.css"))
    return (
        load_templates()
        .get_template("checking.html")
        .render(
            in_short=in_short(content.loaded),
            items=items,
            total=total,
            doubted=min(len(doubt.rows), len(rows)),
            pictures=bool(paths),
            near=any(item["near"] for item in items),
            why=why_no_pictures(content) if items and not paths else "",
            classes=[plain_class(name) for name in manifest.classes],
            show_names=content.show_names,
            by_case=manifest.by_case,
            command=command(content.loaded, "--labels", "labels_corrected.csv", ending="corrected"),
            payload=for_script(_payload(content, rows, called)),
            style=style,
            script=here.joinpath("checking.js").read_text(encoding="utf-8"),
            version=content.loaded.identity["glomfeat"],
            images=count(len(items), "image"),
        )
    )


def _payload(content, rows, called):
    """Collect the data from which the page makes the download."""
    manifest = content.run.manifest
    names = manifest.table["name"].iloc[rows].tolist()
    return {
        "classes": list(manifest.classes),
        "shown": list(map(plain_class, manifest.classes)),
        "columns": [*(["name"] if content.show_names else []), "image", DIGEST, AFTER, BEFORE, "decision", BASE],
        "base": content.loaded.study.get("labels") or "",
        "items": [
            {
                "digest": digest_of_name(name),
                "label": int(manifest.labels[row]),
                "called": called[row],
                **({"name": name} if content.show_names else {}),
            }
            for row, name in zip(rows, names, strict=True)
        ],
    }
