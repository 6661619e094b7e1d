"""Which images there are, of which class, case and slide; every problem is reported at once."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.utils import gen_batches

from glomfeat.archives import ArchiveError
from glomfeat.embeddings import find_rows, names_of
from glomfeat.files import is_there, names_below, sha256_of, split
from glomfeat.images import SUFFIXES, ImageError
from glomfeat.naming import BY_CASE, IMAGE_LEVEL, find_cases, pseudonyms
from glomfeat.sources import archive_problems, find_archives, images_of, places_of, sample_labels
from glomfeat.tabular import LABEL_COLUMNS, NAME_COLUMNS, TABLES, find_column, is_feature_table, read_frame, read_head

SHOWN = 5
AT_ONCE = 1024


class ManifestError(ValueError):
    """Problems of a data set, all of them in one message."""


@dataclass(frozen=True)
class Manifest:
    """The images of a study.

    Attributes
    ----------
    table : pandas.DataFrame
        A row an image: ``name`` (unique), ``path`` (empty for a feature table), ``label`` (index into
        `classes`), ``case``, ``slide``, ``digest`` (SHA-256 of the file's bytes; of the name for a feature
        table). Sorted by name.
    classes : tuple of str
        Names of the classes; the last one is the positive class.
    by_case : bool
        Whether cases are known. If not, every image is a case of its own.
    said : tuple of str
        What was found and decided, for the user to read.
    source : str
        Path of the feature table, empty for images.
    """

    table: pd.DataFrame
    classes: tuple
    by_case: bool
    said: tuple = ()
    source: str = ""

    def __len__(self):
        return len(self.table)

    @property
    def labels(self):
        """Class index of each row, int64."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def cases(self):
        """Case of each row as an integer code in order of the case's name, int64."""
        return np.unique(self.table["case"].to_numpy(str), return_inverse=True)[1]

    @property
    def split(self):
        """How tables must say that this data set is split."""
        return BY_CASE if self.by_case else IMAGE_LEVEL

    @property
    def digest(self):
        """SHA-256 over names, contents, labels and cases: whether two runs see the same data."""
        found = hashlib.sha256("\n".join(self.classes).encode())
        for row in zip(*(self.table[column] for column in ("name", "digest", "label", "case")), strict=True):
            found.update(("\n" + "\t".join(map(str, row))).encode())
        return found.hexdigest()

    def keep(self, rows):
        """The manifest of some rows.

        Parameters
        ----------
        rows : ndarray of bool, shape (n,)
        """
        return replace(self, table=self.table[rows].reset_index(drop=True))


def read_manifest(data, labels=None, positive=None, groups="auto", parts=None, show_names=False):
    """Read a data set: a folder or archive of class folders, one with a CSV of labels, a CSV, or a feature table.

    Parameters
    ----------
    data : path-like or str
        A folder, a zip or tar, the shards of a WebDataset (see `glomfeat.sources.find_archives`), a CSV
        (``name,ground truth`` or ``path,label[,case,slide]``), or features (``file:PATH``, or a CSV with further
        numeric columns, parquet, npy, HDF5, or a folder of HDF5 or ``.pt`` files).
    labels : path-like, optional
        A CSV of labels; else the only CSV with labels that lies in the folder.
    positive : str, optional
        Name of the positive class; else the one whose name begins with ``globally_sclerotic``, else ``1``,
        else the last one in order.
    groups : str
        Where the case comes from: ``auto``, ``none``, a column of the CSV, or a regular expression with the
        named group ``case`` (and perhaps ``slide``) that is searched for in each name.
    parts : int, optional
        Into how many parts the cases will be dealt; checks that they can be.
    show_names : bool
        Whether messages show the real names of cases.

    Returns
    -------
    Manifest

    Raises
    ------
    ManifestError
        All problems at once, each with its count and the first few rows.

    Examples
    --------
    >>> import tempfile; from glomfeat.images import encode_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> for k, kind in enumerate(["sick", "well"] * 2):
    ...     (folder / kind).mkdir(exist_ok=True)
    ...     image = np.full((2, 2, 3), k, np.uint8)
    ...     _ = (folder / kind / f"case{k // 2}_{k}.png").write_bytes(encode_png(image))
    >>> manifest = read_manifest(folder)
    >>> manifest.classes, manifest.table["case"].tolist()
    (('sick', 'well'), ['case0', 'case0', 'case1', 'case1'])
    """
    inspected = inspect_manifest(data, labels, positive, groups, parts, show_names)
    _complain(inspected.data, inspected.problems)
    manifest = inspected.manifest
    del inspected
    pa.default_memory_pool().release_unused()  # half of what a large manifest takes: columns on the way to the table
    return manifest


def check_parts(manifest, parts, show_names=False):
    """Refuse a manifest whose cases cannot be dealt into so many parts.

    Parameters
    ----------
    manifest : Manifest
    parts : int
    show_names : bool
        Whether messages show the real names of cases.

    Raises
    ------
    ManifestError
        See `case_problems`.
    """
    _complain("manifest", case_problems(manifest.table, manifest.classes, parts, manifest.by_case, show_names))


@dataclass(frozen=True)
class Inspected:
    """A data set as it is, with what is wrong with it.

    Attributes
    ----------
    manifest : Manifest
        Of the images that have a label. With problems, cases and slides may be None, digests empty (files that
        cannot be opened), and classes fewer than two.
    problems : list of (str, list of str)
        What is wrong, and the rows where.
    frame : pandas.DataFrame
        The rows of the manifest with whatever columns the user's table has.
    data : pathlib.Path
    """

    manifest: Manifest
    problems: list
    frame: pd.DataFrame
    data: Path


def inspect_manifest(data, labels=None, positive=None, groups="auto", parts=None, show_names=False):
    """Read a data set as `read_manifest` does, and give its problems instead of raising them.

    Returns
    -------
    Inspected

    Raises
    ------
    ManifestError
        There is nothing to inspect: no such file, no image, no labels.
    """
    source = Path(str(data).removeprefix("file:")).expanduser()
    try:
        archives = find_archives(source)
        problems = archive_problems(archives)
    except ArchiveError as error:
        raise ManifestError(str(error)) from error
    if not archives and not source.exists():
        raise ManifestError(f"there is no {source}: give a folder of images, a zip or tar, a CSV or a feature table")
    tabular = not archives and is_feature_table(source)
    if not tabular and str(data).startswith("file:"):
        needs = "HDF5 or .pt files and no image" if source.is_dir() else "numeric columns beside name and label"
        raise ManifestError(f"{source} is no feature table: it needs {needs}")
    notes = []
    frame = _from_table(source, labels, groups, problems, notes) if tabular else _from_files(source, labels, problems)
    unlabelled = frame["raw"] == ""
    if unlabelled.any():
        problems.append(("images without a label", frame["name"][unlabelled].tolist()))
    frame = frame[~unlabelled].sort_values("name", kind="stable").reset_index(drop=True)
    if frame.empty:
        _complain(source, [*problems, ("no image with a label was found", [])])

    cases, by_case, said, trouble = find_cases(frame, groups)
    problems += trouble
    classes = _order_classes(set(frame["raw"]), positive, problems)
    table = frame[["name", "path"]].assign(
        label=frame["raw"].map({name: index for index, name in enumerate(classes)}),
        case=cases["case"].to_numpy(),
        slide=cases["slide"].to_numpy(),
        digest=_digests(frame, problems),
    )
    if not by_case:  # copies of one image must not lie on both sides of a split, even then
        table["case"] = table.groupby("digest")["case"].transform("first")
    if not tabular:
        problems += duplicate_problems(table, classes, by_case)
    if table["case"].notna().all():
        problems += case_problems(table, classes, parts, by_case, show_names)
    counts = ", ".join(f"{count} {name}" for name, count in zip(classes, np.bincount(table["label"]), strict=True))
    where = f" of {table['case'].nunique()} cases" if by_case else ""
    facts = (f"{len(table)} images{where}: {counts}", said, *notes, f"positive class: {classes[-1]}")
    manifest = Manifest(table, classes, by_case, facts, str(source) if tabular else "")
    return Inspected(manifest, problems, frame, source)


def _complain(source, problems):
    """Raise all problems, if there are any."""
    if not problems:
        return
    lines = [f"{source}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    for what, rows in problems:
        more = ", ..." if len(rows) > SHOWN else ""
        listed = f": {', '.join(map(str, rows[:SHOWN]))}{more}" if rows else ""
        lines.append(f"- {f'{len(rows)} ' if rows else ''}{what}{listed}")
    raise ManifestError("\n".join(lines))


def _clean_label(value):
    """A label as text; 1, 1.0 and ' 1 ' are one class."""
    text = "" if pd.isna(value) else str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def _labelled(path, frame=None):
    """Read a CSV or table that must name images and label them: its frame with ``name`` and ``raw``."""
    frame = read_frame(path) if frame is None else frame
    name, label = find_column(frame, NAME_COLUMNS), find_column(frame, LABEL_COLUMNS)
    if name is None or label is None:
        have = ", ".join(map(str, frame.columns[:8]))
        raise ManifestError(
            f"{path} has the columns {have}: one of {', '.join(NAME_COLUMNS)} must name the image "
            f"and one of {', '.join(LABEL_COLUMNS)} its class"
        )
    return frame.assign(name=frame[name].fillna("").astype(str).str.strip(), raw=frame[label].map(_clean_label)), name


def _one_label_each(frame, problems):
    """Drop repeated rows; report names with two labels."""
    frame = frame.drop_duplicates(["name", "raw"])
    twice = frame["name"].duplicated(keep=False)
    if twice.any():
        problems.append(("rows of images under two labels", sorted(set(frame["name"][twice]))))
    return frame.drop_duplicates("name")


def _from_table(path, labels, groups, problems, notes):
    labels = labels or (_find_labels(path, []) if path.is_dir() else None)
    if labels is not None:
        return _join_labels(path, labels, groups, problems, notes)
    frame = names_of(path, (groups,))
    if find_column(frame, LABEL_COLUMNS) is None and path.suffix.lower() not in TABLES:
        raise ManifestError(f"{path} holds {len(frame)} rows and does not say of which class: give --labels FILE")
    frame, _ = _labelled(path, frame)
    repeated = frame["name"][frame["name"].duplicated()].unique().tolist()
    if repeated:
        problems.append(("names with several rows in the feature table", repeated))
    return frame.drop_duplicates("name").assign(path="")


def _join_labels(path, labels, groups, problems, notes):
    """The rows of a CSV of labels that have a row of features, called as in the CSV."""
    if not Path(labels).is_file():
        raise ManifestError(f"there is no {labels}: --labels must be a CSV such as name,ground truth")
    frame = read_frame(labels)
    if find_column(frame, NAME_COLUMNS) is None:  # kidney-hfm-eval calls the image so
        frame = frame.rename(columns={"ID": "name"})
    frame = _one_label_each(_labelled(labels, frame)[0], problems)
    known = names_of(path, (groups,), frame["name"].tolist())
    column = find_column(known, NAME_COLUMNS)
    if column is None:
        raise ManifestError(f"{path} does not name its rows: it needs a column {' or '.join(NAME_COLUMNS)}")
    known = known[column].astype(str).str.strip().tolist()
    places, missing = find_rows(frame["name"].tolist(), known)
    if missing:
        problems.append((f"labels of {Path(labels).name} without a row of features", missing))
        frame = frame[~frame["name"].isin(missing)]
    elif places is None:
        problems.append(("images of one name in several folders, which need their folder in the features too", []))
    if len(known) > len(frame):
        notes.append(f"{len(known) - len(frame)} of {len(known)} rows have no label in {Path(labels).name}: left out")
    return frame.assign(path="")


def _from_files(source, labels, problems):
    if source.is_dir() or find_archives(source):
        return _from_folder(source, labels, problems)
    frame, column = _labelled(source)
    if str(column).strip().lower() != "path":
        return _from_folder(source.parent, source, problems)
    frame = _one_label_each(frame, problems)
    frame = frame.assign(path=[str(source.parent / name) for name in frame["name"]])
    there = frame["path"].map(is_there).astype(bool)
    if not there.all():
        problems.append(("labels without a file", frame["name"][~there].tolist()))
    return frame[there]


def _from_folder(folder, labels, problems):
    """All images below a folder or in archives; the class is in the CSV of labels, beside the image in a WebDataset,
    else the first folder below."""
    places = places_of(folder)
    relative, paths = images_of(places)
    if not relative:
        raise ManifestError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    order = sorted(range(len(relative)), key=lambda row: relative[row].split("/"))
    relative, paths = [relative[row] for row in order], [paths[row] for row in order]
    labels = labels or _find_labels(folder, places)
    if labels is None and (samples := sample_labels(relative, paths)) is not None:
        return samples.assign(raw=samples["raw"].map(_clean_label), name=_shown(samples["name"].tolist()))
    files = pd.DataFrame(
        {
            "name": _shown(relative),
            "path": paths,
            "folder": [sys.intern(name.partition("/")[0]) if "/" in name else "" for name in relative],
        }
    )
    if labels is None:
        if (files["folder"] == "").all():
            raise ManifestError(f"{folder} has neither class folders nor a CSV of labels: give --labels FILE")
        return files.assign(raw=files["folder"])
    if not is_there(labels):
        raise ManifestError(f"there is no {labels}: --labels must be a CSV such as name,ground truth")
    frame, _ = _labelled(labels)
    shown = dict(zip(relative, files["name"], strict=True))
    frame = _one_label_each(frame.assign(name=frame["name"].map(lambda name: shown.get(name, name))), problems)
    gone = frame["name"][~frame["name"].isin(files["name"])].tolist()
    if gone:
        problems.append((f"labels of {Path(labels).name} without a file", gone))
    merged = files.merge(frame.drop(columns=["path", "folder"], errors="ignore"), on="name", how="left")
    bare = merged["name"][merged["raw"].isna()].tolist()
    if bare:
        problems.append((f"files without a label in {Path(labels).name}", bare))
    return _agree(merged[merged["raw"].notna()].copy(), problems)


def _shown(relative):
    """Names without their folders, where these are unique."""
    short = [name.rpartition("/")[2] for name in relative]
    return short if len(set(short)) == len(short) else relative


def _find_labels(folder, places):
    """The only CSV with labels in a folder, or None."""
    packed = [place for place in places if place != folder or split(place)[0]]
    inside = (place / name for place in packed for name in names_below(place) if "/" not in name)
    found = [
        path
        for path in sorted([*folder.glob("*.csv"), *(path for path in inside if path.suffix == ".csv")])
        if find_column(head := read_head(path), LABEL_COLUMNS) is not None
        and find_column(head, NAME_COLUMNS) is not None
    ]
    if len(found) > 1:
        raise ManifestError(f"{folder} holds several CSVs of labels ({', '.join(p.name for p in found)}): use --labels")
    return found[0] if found else None


def _agree(frame, problems):
    """Where folders stand one to one for the CSV's classes, both must agree, and the folders name the classes."""
    counts = pd.crosstab(frame["folder"], frame["raw"])
    usual = counts.idxmax(axis=1)
    if "" in counts.index or counts.shape[0] != counts.shape[1] or usual.nunique() != len(usual) or len(usual) < 2:
        return frame
    other = frame["raw"] != frame["folder"].map(usual)
    if other.any():
        problems.append(
            ("images under two labels, one in the CSV and one by their folder", frame["name"][other].tolist())
        )
    return frame.assign(raw=frame["folder"])


def _order_classes(names, positive, problems):
    """Sort classes, numbers by value, and put the positive one last."""
    ordered = sorted(names, key=lambda name: (0, int(name), "") if name.lstrip("-").isdigit() else (1, 0, name))
    if len(ordered) < 2:
        problems.append((f"one class only ({ordered[0]}): there is nothing to tell apart", []))
    if positive is None:
        known = [name for name in ordered if name.lower().startswith("globally_sclerotic")]
        positive = known[0] if known else "1" if "1" in ordered and len(ordered) == 2 else ordered[-1]
    elif positive not in ordered:
        problems.append((f"--positive {positive!r} is no class: there are {', '.join(ordered)}", []))
        return tuple(ordered)
    return (*(name for name in ordered if name != positive), positive)


def _digests(frame, problems):
    """SHA-256 of each file's bytes, or of the name where there is no file, or no way to have its bytes."""

    def digest(path, name):
        try:
            return sha256_of(path) if path else hashlib.sha256(name.encode()).hexdigest()
        except OSError:
            return ""
        except ImageError as error:  # a member that is set aside when it is decoded, with this reason
            return hashlib.sha256(f"{error}: {path}".encode(errors="surrogateescape")).hexdigest()

    found = []
    with ThreadPoolExecutor() as pool:
        for part in gen_batches(len(frame), AT_ONCE):  # each call that waits takes a kilobyte
            found += pool.map(digest, frame["path"].iloc[part], frame["name"].iloc[part])
    unreadable = [name for name, value in zip(frame["name"], found, strict=True) if not value]
    if unreadable:
        problems.append(("files that cannot be opened", unreadable))
    return found


def sample(manifest, images, seed, holders=4):
    """Keep whole cases, in an order that is the seed's, until there are enough of them.

    Parameters
    ----------
    manifest : Manifest
    images : int
        How many are wanted; the last case is kept whole, so that there can be more.
    seed : int
    holders : int
        In how many of the kept cases each class must be at least, where so many cases hold it.

    Returns
    -------
    Manifest
        The same one where it is small already; else a smaller one that says so.

    Examples
    --------
    >>> table = pd.DataFrame({"name": list("abcdefgh"), "label": [0, 1] * 4, "case": list("wwxxyyzz")})
    >>> sample(Manifest(table, ("no", "yes"), True, ("8 images", "")), 3, seed=0, holders=1).table["case"].nunique()
    2
    """
    if len(manifest) <= images:
        return manifest
    held = pd.crosstab(manifest.table["case"], manifest.table["label"])
    order = held.index[np.random.default_rng(seed).permutation(len(held))]
    kept = []
    for label in manifest.table["label"].value_counts().index[::-1]:  # the rarest class first
        having = [case for case in kept if held.loc[case, label]]
        kept += [case for case in order if held.loc[case, label] and case not in kept][: max(0, holders - len(having))]
    count = held.sum(axis=1)
    for case in order.difference(kept, sort=False):
        if count[kept].sum() >= images:
            break
        kept.append(case)
    rows = manifest.table["case"].isin(kept).to_numpy()
    first = f"{rows.sum()} images of {len(kept)} cases, drawn from {manifest.said[0]}"
    return replace(manifest.keep(rows), said=(first, *manifest.said[1:]))


def duplicate_problems(table, classes, by_case):
    """Byte-identical images under several classes or, where cases are known, several cases.

    Returns
    -------
    list of (str, list of str)
        What is wrong, and a text per group of images.
    """
    same = table[table["digest"].duplicated(keep=False) & (table["digest"] != "")].groupby("digest")
    across = {"classes": [], "cases": []}
    for _, rows in same:
        text = " = ".join(rows["name"])
        if rows["label"].nunique() > 1:
            across["classes"].append(f"{text} ({', '.join(classes[label] for label in rows['label'])})")
        elif by_case and rows["case"].nunique() > 1:
            across["cases"].append(text)
    return [(f"byte-identical images across {what}: keep one of each", rows) for what, rows in across.items() if rows]


def case_problems(table, classes, parts, by_case, show_names=False):
    """Classes that are in too few cases to be dealt into `parts` that hold every class.

    Each part needs a case of every class, and what is left when one part is held out needs two, because
    hyper-parameters and thresholds are chosen by a split inside it.

    Returns
    -------
    list of (str, list of str)
    """
    if not parts:
        return []
    needed, problems = max(parts, 4) if parts == 2 else parts, []
    for label, name in enumerate(classes):
        rows = table[table["label"] == label]
        cases = rows["case"].unique()
        role = ("negatives", "positives")[label] if len(classes) == 2 else "images"
        if by_case and len(cases) == 1 and parts > 1:
            case = cases[0] if show_names else pseudonyms(table["case"])[cases[0]]
            what = f"all {len(rows)} {role} ({name}) are of case {case}: folds by case are impossible; "
            problems.append((what + "add cases or use --groups none", []))
        elif len(cases) < needed:
            unit = "cases" if by_case else "images"
            remedy = f"use --folds {len(cases)}" if len(cases) > 2 and parts > 3 else f"add {unit}"
            remedy += " or use --groups none" if by_case else ""
            what = f"the {len(rows)} {role} ({name}) are in {len(cases)} {unit}, {parts} parts need {needed}"
            problems.append((f"{what}: {remedy}", []))
    return problems
