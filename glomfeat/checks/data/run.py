"""The audit of a data set: everything is checked, whatever is wrong with some of it."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from glomfeat.checks.data.candidates import thumbnail
from glomfeat.checks.data.cases import check_cases, check_classes, check_folds_possible, check_sizes
from glomfeat.checks.data.columns import check_columns
from glomfeat.checks.data.duplicates import find_pairs, pairs_need
from glomfeat.checks.data.files import UNOPENED, check_files, odd_files
from glomfeat.checks.data.findings import Finding, without_names, worst_first
from glomfeat.checks.data.keypoints import keypoints
from glomfeat.checks.data.leaks import check_pairs, described
from glomfeat.checks.data.probe import probe_classes, probe_groups, probe_sites
from glomfeat.checks.data.sites import find_sites, probe_sites_of
from glomfeat.core.cache import Store
from glomfeat.core.memory import BudgetError
from glomfeat.core.threads import limited_threads
from glomfeat.data.case_notes import NOT_USED
from glomfeat.data.cases import pseudonyms
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import inspect_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.features.extract import UnreadError, extract
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.shards import Extracted
from glomfeat.features.table import CALLED

PROBLEM = {
    "labels without a file": "warning",
    "files without a label": "warning",
    "images without a label": "warning",
}
NO_STUDY = "columns that a study would not use"  # the audit itself may look at them
EXAMPLES = ", which fits the others ("  # before names of images and their cases


class Asking(Protocol):
    """What is asked of an audit.

    Attributes
    ----------
    data : str
    labels, positive, layout : str or None
    groups : str
        All as in `glomfeat.data.manifest.read_manifest`.
    asked : glomfeat.data.tables.columns.Asked
        What the user says about the columns of tables.
    size : int or None
    padding, icc : str
        As in `glomfeat.data.images.decode.Preprocess.asked`.
    embedding, weights : str or None
    features, sites : tuple of str
        As in `glomfeat.checks.data.sites`: what else sites are told from, and their columns; found if empty.
    device : str
        The device, embedding and weights are as in `glomfeat.features.make.make_feature`.
    folds, seed : int
    show_names : bool
    """

    data: str
    labels: str | None
    positive: str | None
    groups: str
    layout: str | None
    size: int | None
    padding: str
    icc: str
    embedding: str | None
    features: tuple[str, ...]
    sites: tuple[str, ...]
    weights: str | None
    device: str
    folds: int
    seed: int
    show_names: bool

    @property
    def asked(self) -> Asked: ...


@dataclass(frozen=True)
class Audited:
    """What an audit found.

    Attributes
    ----------
    said : tuple of str
        What was looked at.
    findings : list of Finding
        Worst first.
    pairs : pandas.DataFrame or None
        From `glomfeat.checks.data.leaks.described`; None if there are no images.
    odd : list of dict
        From `glomfeat.checks.data.files.odd_files`; files that cannot be read have the code ``broken``.
    paths : list of str
        Paths of the images that `pairs` numbers.
    sites : pandas.DataFrame or None
        From `glomfeat.checks.data.sites.probe_sites_of`; None if no column names sites.
    """

    said: tuple
    findings: list
    pairs: object
    odd: list
    paths: list
    sites: object = None


def audit(options, cache, jobs, free):
    """Audit a data set completely.

    Parameters
    ----------
    options : Asking
    cache : pathlib.Path
        Folder of the store.
    jobs : int
    free : int
        Bytes that may be used in addition to what this process holds.

    Returns
    -------
    Audited

    Raises
    ------
    ManifestError
        There is no data set to audit.
    BudgetError, PluginError, FeatureError, WeightsError
        The budget is too small, or the embedding cannot be made.
    """
    extra = _embedding(options)
    given, asked = (options.labels, options.positive, options.groups), _without(options.asked, options.sites)
    inspected = inspect_manifest(options.data, *given, layout=options.layout, asked=asked)
    columns = find_sites(inspected.frame, options.sites, inspected.data)
    others = _others(options, inspected.manifest, columns)
    manifest, frame, findings = _completed(inspected)
    said = tuple(line.replace(NOT_USED, NO_STUDY, 1) if line.startswith(NOT_USED) else line for line in manifest.said)
    hidden = () if options.show_names else tuple(manifest.table["name"])
    findings += [_problem(what, rows, hidden) for what, rows in inspected.problems if not _told_elsewhere(what)]
    opened = (manifest.table["digest"] != "").to_numpy()
    broken = [{"name": name, "reason": UNOPENED} for name in manifest.table["name"][~opened]]
    manifest, frame = manifest.keep(opened), frame[opened].reset_index(drop=True)
    if manifest.source:
        findings += [_no_images(manifest), *check_columns(manifest, asked, options.show_names)]
        extracted, odd = Extracted(manifest), []
    else:
        odd = odd_files(manifest, jobs)
        extracted = _extract(manifest, [*([extra] if extra else []), *others], options, cache, jobs, free)
        broken += extracted.quarantine
        findings += check_files(manifest, broken, odd)
    findings += check_classes(manifest) + check_cases(manifest, options.show_names)
    findings += check_folds_possible(manifest, options.folds, options.show_names)
    odd += [{"code": "broken", "name": row["name"], "case": "", "label": "", "detail": row["reason"]} for row in broken]
    if not extracted.matrices:
        tables, failed = _rows_of(others, manifest, hidden)
        found, more = _probe_sites(manifest, frame, columns, tables, options) if tables else (None, [])
        return Audited(said, worst_first([*findings, *failed, *more]), None, odd, [], found)
    readable = manifest.table["name"].isin(extracted.manifest.table["name"]).to_numpy()
    manifest, frame = extracted.manifest, frame[readable].reset_index(drop=True)
    shortcut = extracted.matrices["shortcut.v1"][:]
    sizes = shortcut[:, :2].astype(np.int64)
    embedding = extracted.matrices[extra.name][:] if extra and extra.name in extracted.matrices else None
    findings += [_failed(name, reason, hidden) for name, reason in extracted.failed.items()]
    with limited_threads(1):  # products are small, so more threads would only wait for each other
        pairs = find_pairs(extracted, sizes, options.seed, jobs, embedding)
        shown = pseudonyms(manifest.table["case"])
        if options.show_names:
            shown = {case: case for case in shown}
        sampled = pairs.attrs.get("sampled", "")
        pairs = described(manifest, pairs, options.folds, options.seed, shown)
        findings += check_pairs(manifest, pairs, options.folds, options.seed, sampled)
        findings += check_sizes(manifest, sizes, options.seed)
        if len(manifest.classes) > 1:
            findings += probe_classes(manifest, shortcut, options.folds, options.seed)
        if manifest.by_case:
            findings += probe_groups(manifest.table["case"].to_numpy(str), shortcut, "cases", options.seed, shown)
        findings += probe_sites(frame, shortcut, options.seed)
        names = [feature.name for feature in others if feature.name in extracted.matrices]
        matrices = {"size and colour": shortcut} | {name: extracted.matrices[name][:] for name in names}
        found, more = _probe_sites(manifest, frame, columns, matrices, options)
    findings += more
    return Audited(said, worst_first(findings), pairs, odd, manifest.table["path"].tolist(), found)


def _without(asked, columns):
    """What is asked of tables, with some columns that must not describe."""
    uses = tuple((column, "a site, by --sites") for column in columns)
    return replace(asked, but=(*asked.but, *columns), uses=(*asked.uses, *uses))


def _others(options, manifest, columns):
    """Further features to tell sites from; for a table its own, unless others are named."""
    names = options.features or ((f"file:{manifest.source}",) if manifest.source and columns else ())
    asked = _without(options.asked, columns)  # else a site would be told from itself
    given = options.weights or "imagenet", None, options.device, "float32", asked, manifest.table["name"]
    return [make_feature(name, *given, options.size) for name in names]


def _rows_of(tables, manifest, hidden):
    """The numbers in tables by their names, and findings on those that cannot be read."""
    rows, failed = {}, []
    for table in tables:
        try:
            rows[table.name] = table.rows(manifest.table["name"])
        except FeatureError as error:
            failed.append(_failed(table.name, str(error), hidden))
    return rows, failed


def _probe_sites(manifest, frame, columns, matrices, options):
    """The result of `probe_sites_of`; empty if no column names sites."""
    if not columns or len(manifest.classes) < 2:
        return None, []
    flat = {name: np.asarray(matrix, np.float32).reshape(len(matrix), -1) for name, matrix in matrices.items()}
    return probe_sites_of(manifest, frame, columns, flat, options.folds, options.seed)


def _embedding(options):
    """The feature that also finds neighbours, or None."""
    if options.embedding is None:
        return None
    return make_feature(options.embedding, options.weights or "imagenet", device=options.device, side=options.size)


def _completed(inspected):
    """The manifest with a case in every row: an image whose case is unknown is its own case."""
    manifest, table = inspected.manifest, inspected.manifest.table
    unknown = table["case"].isna()
    if not unknown.any():
        return manifest, inspected.frame, []
    own = table["name"].where(unknown, table["case"])
    table = table.assign(case=own, slide=table["slide"].where(table["slide"].notna(), own))
    found = []
    if not unknown.all():
        text = f"{unknown.sum()} of {len(table)} images have no case; each counts as its own case"
        why = "an image whose case is not known can be in training and test with others of its case"
        found = [
            Finding("cases.some_unknown", "severe", text, "by --groups, a column or the names", why, "name the case")
        ]
    manifest = replace(manifest, table=table, by_case=manifest.by_case and not unknown.all())
    if not manifest.by_case:
        manifest = replace(manifest, said=(manifest.counted, *manifest.said[1:]))
    return manifest, inspected.frame, found


def _told_elsewhere(what):
    """Whether a separate check reports a problem of the manifest better."""
    apart = "sets of byte-identical", "one class only", "files that cannot be opened", "names that hold no case"
    return what.startswith(apart)


def _problem(what, rows, hidden):
    if hidden:
        what = without_names(what.partition(EXAMPLES)[0], hidden)
    severity = next((level for start, level in PROBLEM.items() if start in what), "severe")
    severity = "warning" if what.startswith(("labels of", "files without")) else severity
    return Finding(
        "manifest",
        severity,
        f"{f'{len(rows)} ' if rows else ''}{what}",
        "files and labels were compared",
        "studies.compare refuses such a data set",
        "correct the table of labels, the files or the option",
        tuple({"name": str(row)} for row in rows),
        (("rows", len(rows)),),
    )


def _no_images(manifest):
    text = "the data set is a table of features: files, sizes, near-duplicates and shortcuts cannot be looked at"
    return Finding("files.none", "info", text, "DATA is a table", "these are the usual leaks", "audit the images too")


def _failed(name, reason, hidden):
    reason = without_names(reason.partition(CALLED)[0], hidden) if hidden else reason
    text = f"{name} cannot be computed: {reason}"
    return Finding("feature.failed", "warning", text, "computed", "what it would find is not found", "see the reason")


def _extract(manifest, more, options, cache, jobs, free):
    features = {feature.name: feature for feature in [make_feature("shortcut"), keypoints(), thumbnail(), *more]}
    need = pairs_need(len(manifest))
    need.check("the search for near-duplicates", free, "audit a part of the images")
    try:
        store = Store(str(cache))
        preprocess = Preprocess.asked(options.size, options.padding, options.icc)
        return extract(manifest, list(features.values()), preprocess, store, jobs, "skip", budget=free)
    except BudgetError:
        raise
    except UnreadError as error:
        return Extracted(manifest, quarantine=error.quarantine)
