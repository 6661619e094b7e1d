"""How the page opens: the data in one line, and banners with what a reader must know before any figure."""

from glomfeat.core.words import capital
from glomfeat.data.case_notes import WITHOUT_GROUPS
from glomfeat.data.labels.corrections import CHANGED
from glomfeat.data.phantom import ABOUT, FOR_YOURS
from glomfeat.results.doubts import doubts
from glomfeat.results.words import classes_in_words, count, plain_class

BY_IMAGE = (
    "Split by image: scores are optimistic.",
    "Images of one patient may be on both sides of every split, so that a classifier is rewarded for recognising a "
    "patient. No figure of this page says how well an arm does with a new patient.",
)
TORN = (
    "Image-level split: scores are optimistic.",
    "The split was used as it was given. It has images of one case on several sides, so that a classifier is rewarded "
    "for recognising a patient.",
)
RELABELLED = (
    "Changing labels that the arms contradict brings the labels closer to the arms, so figures improve even if no "
    "label was wrong. Say so wherever you report these figures, and give those with the original labels next to them."
)


def in_short(loaded):
    """Describe the data and the split in one plain line."""
    manifest = loaded.run.manifest
    where = f" of {manifest.table['case'].nunique():,} cases" if manifest.by_case else ""
    return f"{len(manifest):,} images{where}: {classes_in_words(manifest)}; {loaded.about['title'].rpartition('; ')[2]}"


def banners(content):
    """List what a reader must know before any figure.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    list of (str, str, str)
        "bad" or an empty string, a heading, and a text.
    """
    loaded, said = content.loaded, []
    if loaded.run.manifest.torn:
        said.append(("bad", *TORN))
    said += relabelled(loaded.run.manifest.said)
    said += _warnings_in(loaded.run.manifest.said)
    if not loaded.run.manifest.by_case:
        known = next((line for line in loaded.run.manifest.said if line.startswith(WITHOUT_GROUPS)), "")
        for name in loaded.run.manifest.classes:
            known = known.replace(f"({name})", f"({plain_class(name)})")
        head, text = BY_IMAGE
        said.append(("bad", head, f"{text} {capital(known)}.".removesuffix(" .")))
    if not loaded.whole:
        done, planned = loaded.done
        said.append(
            (
                "",
                f"{done} of {planned} trials are done.",
                "All figures are of finished trials; ask for them again later.",
            )
        )
    failed = content.results[content.results["status"].isin(("failed", "skipped", "partial"))]
    if loaded.whole and len(failed):
        many = count(len(failed), "arm")
        said.append(("", f"{capital(many)} did not finish.", "The table says why."))
    if loaded.study.get("data", "") is None:
        said.append(("", "The built-in phantom.", f"{capital(ABOUT)}. {FOR_YOURS}."))
    if loaded.lacks:
        said.append(("", "Parts of this page are left out.", f"{loaded.lacks}."))
    said += [("", *doubt) for doubt in doubts(content.results)]
    random = content.results[content.results["weights"].str.startswith("random")]
    if len(random):
        sources = dict.fromkeys(random["feature"].where(random["feature"] != "", random["arm"]))
        said.append(("", "Random weights, not pretrained:", f"{', '.join(sources)}."))
    if len(loaded.quarantine):
        many = count(len(loaded.quarantine), "image")
        said.append(("", f"{capital(many)} could not be read.", "The last section says why."))
    return said


def _warnings_in(lines):
    """Make a banner of each warning about the data, other than that of `relabelled`."""
    found = [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ") and CHANGED not in line]
    return [("", "A warning about the data:", f"{line.removesuffix('.')}.") for line in found]


def relabelled(lines):
    """Make a banner if labels were changed after results had been seen.

    Parameters
    ----------
    lines : sequence of str
        Lines on how the data were read.

    Returns
    -------
    list of (str, str, str)
    """
    changed = next((line for line in lines if CHANGED in line), "")
    head = changed.removeprefix("warning: ").partition(" (")[0]
    return [("bad", f"{head}.", RELABELLED)] if changed else []
