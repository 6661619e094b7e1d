"""How well features give away an image's site within a class, and what leaving a site out costs."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from glomfeat.checks.data.findings import Finding
from glomfeat.checks.data.probe import MOST_GROUPS, OF_SITES, dealt_by_case, held_out, mean_auroc
from glomfeat.core.words import number_of
from glomfeat.data.tables.own import OURS
from glomfeat.data.tables.read import listed, named_by_user, plain, read_values
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights, resampling_units

LOOKED_FOR = OF_SITES | {"stain", "stainid"}
LEAST_CASES = 2  # per site and class, so that one case can be held out
COLUMNS = (
    *("column", "feature", "sites", "images", "cases", "told", "told_lo", "told_hi", "chance"),
    *("by_case", "site_left_out", "cost", "cost_lo", "cost_hi", "p", "note"),
)


@dataclass(frozen=True)
class Probe:
    """The data that a probe of sites works on.

    Attributes
    ----------
    manifest : Manifest
    sites : ndarray of int64, shape (n,)
        Codes from 0; -1 if an image has no value.
    folds, seed : int
    """

    manifest: object
    sites: np.ndarray
    folds: int
    seed: int


def find_sites(frame, asked, where):
    """Find the columns to probe: those that are asked for, else those that are named like sites.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `glomfeat.data.manifest.Inspected`.
    asked : sequence of str
    where : object
        What the frame was read from.

    Returns
    -------
    list of str

    Raises
    ------
    TableError
        There is no such column.
    """
    if asked:
        return list(dict.fromkeys(named_by_user(frame, name, "--sites", where, OURS) for name in asked))
    return [column for column in frame if plain(column) in LOOKED_FOR]


def probe_sites_of(manifest, frame, columns, features, folds, seed):
    """Tell sites from features, and predict classes at a site from the other sites.

    Parameters
    ----------
    manifest : Manifest
    frame : pandas.DataFrame
        The same rows, with the columns.
    columns : sequence of str
    features : dict of str to ndarray of float32, shape (n, width)
        By feature name.
    folds, seed : int

    Returns
    -------
    table : pandas.DataFrame
        Columns `COLUMNS`. ``told`` is the share of images whose site is predicted correctly within a class, averaged
        over sites and classes, by a logistic regression on images of other cases. ``by_case`` and ``site_left_out`` are
        AUROCs of the class on the same images, folds and sites: of models from other cases, and of models from other
        sites.
    findings : list of Finding
    """
    rows, findings = [], []
    for column in columns:
        values = read_values(frame[column]).to_numpy(str)
        bare = values == ""
        names, codes = np.unique(values[~bare], return_inverse=True)
        sites = np.full(len(frame), -1)
        sites[~bare] = codes
        probe, mine = Probe(manifest, sites, folds, seed), []
        for feature, matrix in features.items():
            row = {"column": column, "feature": feature, "sites": len(names), "images": int((~bare).sum())}
            row |= {"cases": len(np.unique(manifest.cases[~bare])), "note": ""}
            mine.append(row | _probed(probe, len(names), matrix))
        rows += mine
        findings.append(_finding(column, mine, int(bare.sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS)), findings


def _probed(probe, count, matrix):
    """What one feature gives away about the sites of a column."""
    if not probe.manifest.by_case:
        return {"note": "cases are not known, and without them knowing a case looks like knowing a site"}
    if count < 2:
        return {"note": "there is one site only"}
    if count > MOST_GROUPS:
        return {"note": f"it has {count} values, and at most {MOST_GROUPS} are probed"}
    found, notes = _tell(probe, count, matrix)
    left, more = _leave_out(probe, matrix)
    return found | left | {"note": "; ".join(notes + more)}


def _tell(probe, count, matrix):
    """How well sites are told apart within a class, from images of other cases."""
    hits, notes, labels, cases = [], [], probe.manifest.labels, probe.manifest.cases
    for label, name in enumerate(probe.manifest.classes):
        rows = np.flatnonzero((labels == label) & (probe.sites >= 0))
        many = [site for site in range(count) if len(np.unique(cases[rows][probe.sites[rows] == site])) >= LEAST_CASES]
        if len(many) < count:
            notes.append(f"{count - len(many)} of {count} sites have fewer than two cases of {name}")
        rows = rows[np.isin(probe.sites[rows], many)]
        if len(many) < 2:
            continue
        site = np.searchsorted(many, probe.sites[rows])
        dealt = _deal(probe, rows, site, tuple(map(str, many)))
        if dealt is None:
            notes.append(f"sites of {name} cannot be dealt to folds by case")
            continue
        scores = held_out(matrix[rows], site, dealt, len(many), probe.seed)
        told = scores.argmax(axis=1) if len(many) > 2 else (scores > 0.5).astype(int)
        hits.append((cases[rows], site, told == site, len(many)))
    if not hits:
        return {}, notes
    units = resampling_units(cases)

    def share(weights):
        """The mean over classes and sites, for each row of weights of units."""
        of_sites = []
        for case, site, right, sites in hits:
            for one in range(sites):
                mine = weights[:, units[case[site == one]]]
                with np.errstate(invalid="ignore"):
                    of_sites.append(mine @ right[site == one] / mine.sum(axis=1) / sites)
        return np.sum(of_sites, axis=0) / len(hits)

    value = float(share(np.ones((1, units.max() + 1)))[0])
    used = np.unique(np.concatenate([units[case] for case, *_ in hits]))
    low, high = jackknife_limits(value, share(leave_out_weights(units.max() + 1)[used]))
    return {"told": value, "told_lo": low, "told_hi": high, "chance": np.mean([1 / sites for *_, sites in hits])}, notes


def _deal(probe, rows, labels, classes):
    """The fold of each of some rows, by case; None if that is not possible."""
    table = probe.manifest.table.iloc[rows].reset_index(drop=True).assign(label=labels)
    return dealt_by_case(replace(probe.manifest, table=table, classes=classes), probe.folds, probe.seed)


def _leave_out(probe, matrix):
    """AUROC of the class on the same images, for models from other cases and for models from other sites."""
    rows = np.flatnonzero(probe.sites >= 0)
    labels, cases, sites = probe.manifest.labels[rows], probe.manifest.cases[rows], probe.sites[rows]
    classes = len(probe.manifest.classes)
    dealt = _deal(probe, rows, labels, probe.manifest.classes)
    if dealt is None:
        return {}, ["the classes cannot be dealt to folds by case"]
    scores = [held_out(matrix[rows], labels, apart, classes, probe.seed, cases) for apart in (dealt, sites)]
    known = np.isfinite(scores).reshape(2, len(rows), -1).all(axis=(0, 2))
    cells = [
        cell
        for site in np.unique(sites)
        for fold in np.unique(dealt)
        if len(np.unique(labels[cell := np.flatnonzero((sites == site) & (dealt == fold) & known)])) == classes
    ]
    if not cells:
        return {}, ["no site holds every class in a fold, so leaving one out cannot be compared with folds by case"]
    units = resampling_units(probe.manifest.cases)
    tested = np.concatenate(cells)
    used = np.unique(units[cases[tested]])
    weights = leave_out_weights(units.max() + 1)[used]
    by_case, left_out = (float(mean_auroc(cells, labels, score)) for score in scores)
    without = [mean_auroc(cells, labels, score, weights, units[cases]) for score in scores]
    holders = own_cases("each", labels[tested], units[cases[tested]], units.max() + 1, classes)[1]
    cost = paired_difference(by_case - left_out, without[0] - without[1], holders)
    found = {"by_case": by_case, "site_left_out": left_out, "cost": cost.value}
    return found | {"cost_lo": cost.lo, "cost_hi": cost.hi, "p": cost.p}, []


def _finding(column, rows, bare):
    """The finding on a column."""
    told = [row for row in rows if np.isfinite(row.get("told", np.nan))]
    costs = [row for row in rows if np.isfinite(row.get("cost", np.nan))]
    strong = any(row["told_lo"] > row["chance"] for row in told) or any(row["cost_lo"] > 0 for row in costs)
    parts = [
        f"{row['feature']} {row['told']:.0%} ({row['told_lo']:.0%} to {row['told_hi']:.0%}), chance {row['chance']:.0%}"
        for row in told
    ]
    said = f"within a class and from other cases, {column!r} is told right of: {'; '.join(parts)}" if parts else ""
    parts = [
        f"{row['feature']} {row['by_case']:.2f} by case, {row['site_left_out']:.2f} with its site left out "
        f"({-row['cost']:+z.2f}, {-row['cost_hi']:+z.2f} to {-row['cost_lo']:+z.2f})"
        for row in costs
    ]
    said += ("; " if said and parts else "") + (f"AUROC of the class: {'; '.join(parts)}" if parts else "")
    notes = dict.fromkeys(note for row in rows for note in [row["note"]] if note)
    said = said or f"how well {column!r} can be told is not known"
    said += f"; {listed(notes)}" if notes else ""
    said += (
        f"; {number_of(bare, 'image has', 'images have')} no value and {'is' if bare == 1 else 'are'} left out"
        if bare
        else ""
    )
    return Finding(
        "sites",
        "warning" if strong else "info",
        said,
        "logistic regression, folds by case; a case at several sites is learnt at none while one of them is left out; "
        "limits: jackknife over cases; a model of other sites also learns from fewer images",
        "what tells the site helps with cases of these sites and misleads at the next one",
        "compare with the site left out, and report both; normalise the stain" if strong else "none",
        tuple(rows),
        tuple((f"told {row['feature']}", row["told"]) for row in told)
        + tuple((f"cost {row['feature']}", row["cost"]) for row in costs),
    )
