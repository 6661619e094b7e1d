"""Labels and other facts that come with packed images: beside them as in a WebDataset, or in one file with them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from glomfeat.data.containers import is_container
from glomfeat.data.files import index_of, split
from glomfeat.data.images.decode import ImageError
from glomfeat.data.labels.classes import labelled
from glomfeat.data.tables.columns import USUAL, label_column
from glomfeat.data.tables.joining import last_parts
from glomfeat.data.tables.own import set_apart
from glomfeat.data.tables.read import CASE_COLUMNS, as_spelt, find_column, plain

BESIDE = OF_FACTS, OF_CLASS = ".json", ".cls"
CLASS = "cls"  # the column of what ``.cls`` holds
OF_CAMELYON = "wsi"  # the column of slides beside PatchCamelyon's arrays; each patient has one slide


def sample_labels(source, names, paths, asked=USUAL, notes=None, parts=None):
    """Read what comes with packed images as a table of labels: ``key.json`` and ``key.cls``, or a container's columns.

    A ``.cls`` holds a class's index or name. A ``.json`` holds an object, whose texts and numbers are a row of a table;
    if there is a ``.cls`` beside it, that gives the class.

    Parameters
    ----------
    source : path-like
        The data set, for messages.
    names, paths : list of str
        From `glomfeat.data.sources.images_of`.
    asked : glomfeat.data.tables.columns.Asked
        Which column holds the classes, if the user says it.
    notes : list of str, optional
        Lines for the user; more are added.
    parts : dict of str to str, optional
        The part of a split of each path, from `glomfeat.data.folders.facts.split_by_archive`; a column ``split`` takes
        precedence.

    Returns
    -------
    pandas.DataFrame or None
        From `glomfeat.data.labels.classes.labelled`, with ``path`` and perhaps ``split``. Further images of a sample
        that has facts (``key.mask.png``) are left out. None if nothing is labelled in this way.

    Raises
    ------
    TableError
        The images are labelled, but not in the column that is asked for.
    ManifestError
        Two columns of labels disagree.
    """
    if split(paths[0])[0] is None:
        return None
    rows, facts, of_files = _in_containers(paths) if is_container(split(paths[0])[0]) else _beside(paths, asked)
    asked = replace(asked, label=CLASS) if of_files else asked
    told = as_spelt(facts, asked.label)
    if not told and label_column(facts, "") is None:
        if notes is not None and (case := find_column(facts, CASE_COLUMNS)) is not None:
            notes.append(
                f"warning: {case!r} beside images of {Path(source).name} is not used, because no class is there: write "
                "the class there too, or give a table of both with --labels"
            )
        return None
    if asked.others and not told:
        asked = replace(asked, label="")
    where = Path(source).name
    label_column(facts, where, asked.label)  # refuses what it does not find
    paths = [paths[row] for row in rows]
    facts = set_apart(facts, ["name"]).assign(name=last_parts([names[row] for row in rows]))
    if parts and find_column(facts, ("split",)) is None:
        facts["split"] = [*map(parts.get, paths)]
    found = labelled(where, replace(asked, name="name"), notes, facts).assign(path=paths)
    return found.drop(columns=CLASS) if of_files else found


def _in_containers(paths):
    """What containers say about their images: all rows, their columns, and that no file beside them gives a class."""
    found = []
    for archive in dict.fromkeys(split(path)[0] for path in paths):
        index = index_of(archive)
        found.append(index.facts.assign(path=[f"{archive}{os.sep}{name}" for name in index.names]))
    facts = pd.concat(found, ignore_index=True).set_index("path").loc[paths].reset_index(drop=True)
    slide = find_column(facts, (OF_CAMELYON,))
    if slide is not None and find_column(facts, CASE_COLUMNS) is None:
        facts["case"] = facts[slide]
    return range(len(paths)), facts, False


def _beside(paths, asked):
    """What lies beside images in archives: the rows of all but further images of a sample, and their facts.

    And whether ``.cls`` gives their classes, in a column `CLASS`, which another column has not been asked for.
    """
    rows, facts, classes, spelt = [], [], [], {}
    for row, path in enumerate(paths):
        archive, member = split(path)
        index, stem = index_of(archive), member.rpartition(".")[0]
        found, of_class = _facts(index, stem, spelt)
        sample = _key(member)
        if not found and not of_class and sample != stem and any(_facts(index, sample, {})):
            continue
        rows.append(row)
        facts.append(found)
        classes.append(of_class or None)
    facts, classes = pd.DataFrame(facts, range(len(rows)), dtype=object), pd.Series(classes, dtype=object)
    of_files = bool(classes.notna().any()) and not as_spelt(facts, asked.label)
    if of_files:
        facts[CLASS] = classes.where(classes.notna(), facts.get(label_column(facts, "")))
    return rows, facts, of_files


def _key(name):
    """What the members of a sample share: the name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _facts(index, stem, spelt):
    """The facts in the JSON beside an image, and the class in its ``.cls``; empty if there are none.

    `spelt` collects how fields are spelt first, because shards may differ in this.
    """
    return _from_json(_read(index, stem + OF_FACTS), spelt), _read(index, stem + OF_CLASS).strip()


def _read(index, name):
    """The text of a member; empty if it is missing or no text, so that the image is listed as without a label."""
    row = index.find(name)
    try:
        return "" if row is None else index.read(row).decode()
    except (ImageError, ValueError):
        return ""


def _from_json(text, spelt):
    """The texts and numbers of a JSON object, by field."""
    try:
        held = json.loads(text) if text else {}
    except ValueError:
        held = {}
    found = {}
    for field, value in held.items() if isinstance(held, dict) else ():
        if isinstance(value, int | float) or (isinstance(value, str) and value.strip()):
            name = spelt.setdefault(plain(field), field)
            found[field if name in found else name] = value
    return found
