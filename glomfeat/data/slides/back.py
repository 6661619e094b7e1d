"""Back to QuPath: write what a model calls the crops into the annotations that they were cut from."""

import copy
import json
import math
from pathlib import Path

import pandas as pd

from glomfeat.core.atomic import write_text
from glomfeat.core.errors import InputError
from glomfeat.core.progress import track
from glomfeat.data.slides.crops import KEPT, OF_OBJECT, annotations_of
from glomfeat.data.slides.outlines import features_of, identity_of, label_of, read_held
from glomfeat.data.tables.read import read_frame

BEFORE = "glomfeat: class before"
# Okabe & Ito (2008), for classes to which the annotations give no colour
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
AGAIN = "cut them out again with python -m studies.crops"


def find_manifest(data):
    """Find the table of crops that a data set is or contains.

    Parameters
    ----------
    data : path-like
        ``manifest.csv`` from `glomfeat.data.slides.crops.make_crops`, or the folder that holds it.

    Returns
    -------
    pathlib.Path
    pandas.DataFrame
        As text, with at least the columns ``path``, ``slide`` and `OF_OBJECT`.

    Raises
    ------
    InputError
        There is no such table; the message says what to give.
    """
    path = Path(data).expanduser()
    path = path / "manifest.csv" if path.is_dir() else path
    give = "--geojson needs crops that python -m studies.crops has cut out: give their manifest.csv as DATA"
    if not path.is_file():
        raise InputError(f"there is no {path}: {give}")
    frame = read_frame(path, ("slide", "object")) if path.suffix.lower() == ".csv" else pd.DataFrame()
    lacking = [column for column in ("path", "slide", *OF_OBJECT) if column not in frame.columns]
    if lacking:
        old = f"; of one that an older version wrote, {AGAIN}" if {"path", "slide"} <= {*frame.columns} else ""
        raise InputError(f"{path} has no column {', '.join(lacking)}: {give}{old}")
    return path, frame


def find_annotations(manifest, frame, out):
    """Find the copies of the annotations that crops were cut from, and check that they are unchanged.

    Parameters
    ----------
    manifest, frame, out
        As for `write_calls`.

    Returns
    -------
    dict of str to pathlib.Path
        By slide.

    Raises
    ------
    InputError
        A copy is missing or changed, or `out` is a file or the folder of the copies.
    """
    if Path(out).resolve() == (manifest.parent / KEPT).resolve():
        raise InputError(f"--geojson is {out}, the annotations themselves: name another folder")
    if Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--geojson is {out}, which is a file: name a folder")
    frame, found = frame.assign(number=_numbers(frame)), {}
    for slide, rows in frame.groupby("slide", sort=True):
        path = annotations_of(manifest.parent, slide)
        if Path(slide).name != slide or not path.is_file():
            raise InputError(f"there is no {path}, which {manifest} tells of: {AGAIN}")
        found[slide] = path
        _check(rows, features_of(read_held(path), path), path)
    return found


def _numbers(frame):
    """The number of each crop's object; NaN if it is not a number."""
    return pd.to_numeric(frame["number"], errors="coerce")


def write_calls(manifest, frame, calls, classes, out):
    """Write each slide's annotations with the calls of their crops, as a file that QuPath imports.

    An annotation stays as it is, except for its class and added measurements. Its former class is kept in its metadata.

    Parameters
    ----------
    manifest : pathlib.Path
    frame : pandas.DataFrame
        Both from `find_manifest`.
    calls : dict of str to (str, dict of str to float)
        For each crop, by its path in the manifest, the class that it is called and measurements.
    classes : sequence of str
        All classes that may be called; their order gives them colours.
    out : pathlib.Path
        Folder for the files, each named after its slide.

    Returns
    -------
    slides, called, uncalled : int
        Number of files, of objects with a call, and of objects left as they are.

    Raises
    ------
    InputError
        As for `find_annotations`; nothing is written then.
    """
    made, called, objects = find_annotations(manifest, frame, out), 0, 0
    for slide, path in track(made.items(), "slides", len(made)):
        held = read_held(path)
        features = features_of(held, path)
        colours = _colours(features, classes)
        as_list = any(_is_old(feature) for feature in features)
        rows = frame[frame["slide"] == slide]
        for number, name in zip(_numbers(rows), rows["path"], strict=True):
            if name in calls:
                _call(features[int(number) - 1], *calls[name], colours, as_list)
                called += 1
        objects += len(features)
        write_text(Path(out) / f"{slide}.geojson", json.dumps(held, ensure_ascii=False), option="--geojson")
    return len(made), called, objects - called


def _check(rows, features, path):
    """Refuse annotations that are not those which the crops were cut from."""
    for number, identity in zip(rows["number"], rows["object"].fillna("").astype(str), strict=True):
        there = 1 <= number <= len(features) and number == int(number)
        if not there or identity_of(features[int(number) - 1]) != identity:
            raise InputError(f"{path} has changed since crops were cut out: {AGAIN}")


def _is_old(feature):
    """Whether an object is written as QuPath did before 0.4: with measurements as a list of names and values."""
    return isinstance((feature.get("properties") or {}).get("measurements"), list)


def _colours(features, classes):
    """The colour of each class: from the annotations, or else one of ours."""
    found = {}
    for feature in features:
        held = (feature.get("properties") or {}).get("classification")
        if isinstance(held, dict):
            own = {key: held[key] for key in ("color", "colorRGB") if key in held}
            found.setdefault(label_of(held), own)
    ours = {name: {"color": list(COLOURS[k % len(COLOURS)])} for k, name in enumerate(classes)}
    return {name: found.get(name) or ours[name] for name in classes}


def _call(feature, name, measured, colours, as_list):
    """Give an object its class and measurements."""
    properties = feature["properties"] = feature.get("properties") or {}
    before = label_of(properties.get("classification"))
    if before and before != name:
        metadata = properties.get("metadata")
        properties["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), BEFORE: before}
    if before != name:
        properties["classification"] = {"name": name, **copy.deepcopy(colours[name])}
    measured = {key: value for key, value in measured.items() if math.isfinite(value)}
    held = properties.get("measurements")
    if isinstance(held, list) or (as_list and not isinstance(held, dict)):
        kept = [one for one in held or [] if not (isinstance(one, dict) and one.get("name") in measured)]
        properties["measurements"] = [*kept, *({"name": key, "value": value} for key, value in measured.items())]
    else:
        properties["measurements"] = {**(held if isinstance(held, dict) else {}), **measured}
