"""Where the images of a data set lie: below a folder, in an archive, or in the shards of a WebDataset."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from glomfeat.archives import ArchiveError
from glomfeat.files import index_of, is_archive, is_hidden, names_below, roots_of, split
from glomfeat.images import SUFFIXES, ImageError
from glomfeat.tabular import CASE_COLUMNS, LABEL_COLUMNS, SLIDE_COLUMNS

BESIDE = (".json", ".cls")
BRACES = re.compile(r"\{([^{}]*)\}")


def expand_braces(pattern):
    """The names that a pattern of a WebDataset stands for.

    Parameters
    ----------
    pattern : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> expand_braces("shard-{08..10}.tar"), expand_braces("{train,test}.tar")
    (['shard-08.tar', 'shard-09.tar', 'shard-10.tar'], ['train.tar', 'test.tar'])
    """
    found = BRACES.search(pattern)
    if not found:
        return [pattern]
    span = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    parts = found[1].split(",")
    if span:
        parts = [f"{number:0{len(span[1])}d}" for number in range(int(span[1]), int(span[2]) + 1)]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [whole for part in parts for whole in expand_braces(f"{head}{part}{tail}")]


def find_archives(data):
    """The archives that make up a data set; none for a folder of images and for a table.

    Parameters
    ----------
    data : path-like
        A zip or tar, a folder that holds archives and no image, or a pattern such as ``shards-{000..003}.tar`` or
        ``shards-*.tar``.

    Returns
    -------
    list of pathlib.Path
        Sorted.

    Raises
    ------
    ArchiveError
        An archive is missing, or is of a kind that is not read.
    """
    data = Path(data)
    if data.is_dir():
        with os.scandir(data) as entries:
            found = sorted(Path(one.path) for one in entries if is_archive(one.path) and not is_hidden(one.name))
        return [] if found and any(is_image(name) for name in names_below(data)) else found
    if data.exists():
        return [data] if is_archive(data) else []
    found = []
    for name in expand_braces(str(data)):
        matches = sorted(Path(name).parent.glob(Path(name).name)) if re.search(r"[*?\[]", name) else [Path(name)]
        found += [path for path in matches if is_archive(path)]
        if not matches or not all(path.exists() for path in matches):
            return [] if name == str(data) else _missing(name, data)
    return found


def _missing(name, data):
    raise ArchiveError(f"there is no {name}, which {data} stands for: give all shards, or another pattern")


def is_image(name):
    """Whether a name ends as those of images do.

    Examples
    --------
    >>> is_image("a/b.TIFF"), is_image("b.txt")
    (True, False)
    """
    return f".{name.rpartition('.')[2].lower()}" in SUFFIXES


def places_of(data):
    """The folders that a data set is made of, those in archives included.

    Parameters
    ----------
    data : path-like
        As `find_archives`, or a folder of images.

    Returns
    -------
    list of pathlib.Path
        Each for `glomfeat.files.names_below`.
    """
    archives = find_archives(data)
    return roots_of(archives) if archives else [Path(data)]


def images_of(places):
    """All images of a data set.

    Parameters
    ----------
    places : list of pathlib.Path
        Of `places_of`.

    Returns
    -------
    names, paths : list of str
        Names are relative to their place, behind the archive's own where several archives hold one name.
    """
    names, paths, held = [], [], []
    for place in places:
        below = [name for name in names_below(place) if is_image(name)]
        names += below
        paths += [f"{place}{os.sep}{name}" for name in below]
        held += [split(place)[0]] * len(below)
    if len(places) > 1:
        count = Counter(names)
        both = zip(names, held, strict=True)
        names = [f"{archive.stem}/{name}" if count[name] > 1 else name for name, archive in both]
    return names, paths


def archive_problems(archives):
    """Names in archives that mean two members, or a place outside.

    Returns
    -------
    list of (str, list of str)
        What is wrong, and the names.
    """
    problems = []
    for archive in archives:
        index = index_of(archive)
        problems.append((f"names that several members of {archive} have: keep one of each", index.repeated()))
        outside = f"names in {archive} that lead out of it: pack it again from inside its folder"
        problems.append((outside, index.escaping()))
    return [(what, names) for what, names in problems if names]


def sample_labels(names, paths):
    """Labels that lie beside images as in a WebDataset: ``key.png`` with ``key.cls``, ``key.json`` or both.

    A ``.cls`` holds an index or name of a class; a ``.json`` may hold a label, a case and a slide.

    Parameters
    ----------
    names, paths : list of str
        Of `images_of`.

    Returns
    -------
    pandas.DataFrame or None
        ``name``, ``path``, ``raw`` (label as text, empty where there is none) and, where a JSON has them, ``case`` and
        ``slide``. Further images of a labelled sample (``key.mask.png``) are left out. None where nothing is labelled
        in this way.
    """
    if split(paths[0])[0] is None:
        return None
    kept, facts = [], {"raw": [], "case": [], "slide": []}
    for row, path in enumerate(paths):
        archive, member = split(path)
        index, stem = index_of(archive), member.rpartition(".")[0]
        found = _facts(index, stem)
        sample = _key(member)
        if not found and sample != stem and _facts(index, sample):
            continue
        kept.append(row)
        for name, values in facts.items():
            values.append(found.get(name))
    if not any(facts["raw"]):
        return None
    facts = {name: values for name, values in facts.items() if name == "raw" or any(values)}
    frame = pd.DataFrame({"name": [names[row] for row in kept], "path": [paths[row] for row in kept]} | facts)
    return frame.fillna({"raw": ""})


def _key(name):
    """What the members of one sample share: the name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _facts(index, stem):
    """Label, case and slide of the files beside an image that can be read, as text."""
    found = {}
    for suffix in BESIDE:
        row = index.find(stem + suffix)
        if row is None:
            continue
        try:
            text = index.read(row).decode()
            found |= _from_json(json.loads(text)) if suffix == ".json" else {"raw": text.strip()}
        except (ImageError, ValueError):  # no label then, and a name in the list of images without one
            continue
    return found


def _from_json(held):
    if not isinstance(held, dict):
        return {}
    lower = {str(name).strip().lower(): value for name, value in held.items() if isinstance(value, str | int | float)}
    known = {"raw": LABEL_COLUMNS, "case": CASE_COLUMNS, "slide": SLIDE_COLUMNS}
    found = {}
    for what, columns in known.items():
        text = next((str(lower[column]).strip() for column in columns if column in lower), "")
        found |= {what: text} if text else {}
    return found
