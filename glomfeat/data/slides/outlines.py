"""Annotated outlines as QuPath exports them: GeoJSON in pixels of the slide's full resolution.

It reads a FeatureCollection, a bare list of features or one feature (RFC 7946), as written by QuPath 0.2 and later. The
class is in ``properties.classification``: ``name``, beside ``color`` or the older ``colorRGB``, or ``names`` for a
derived class.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from glomfeat.core.errors import InputError

TYPE_IDS = re.compile("Path[A-Z][a-z]+Object|TMACoreObject")  # QuPath 0.2 wrote an object's type as its id


@dataclass(frozen=True)
class Outline:
    """One annotated object.

    Attributes
    ----------
    label : str
        Name of its class; empty if it has none.
    polygons : tuple of tuple of ndarray of float64, shape (n, 2)
        For each polygon its outer ring and its holes; x and y in pixels.
    problem : str
        Why it has no area that could be cut out; empty if it has.
    identity : str
        Its id in the file, as QuPath 0.4 and later write it; empty if it has none.
    """

    label: str
    polygons: tuple
    problem: str = ""
    identity: str = ""

    @property
    def box(self):
        """Left, top, right and bottom of the outer rings."""
        corners = np.concatenate([rings[0] for rings in self.polygons])
        return (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())


def read_outlines(path):
    """Read all objects of a GeoJSON file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Outline
        In the order of the file.

    Raises
    ------
    InputError
        The file is not GeoJSON.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "slide.geojson"
    >>> ring = [[0, 0], [4, 0], [4, 2], [0, 0]]
    >>> feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
    ...            "properties": {"objectType": "annotation", "classification": {"name": "sclerotic"}}}
    >>> _ = path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    >>> [(outline.label, outline.box) for outline in read_outlines(path)]
    [('sclerotic', (0.0, 0.0, 4.0, 2.0))]
    """
    return [replace(_outline(feature), identity=identity_of(feature)) for feature in features_of(read_held(path), path)]


def read_held(path):
    """Read a GeoJSON file as plain data.

    Raises
    ------
    InputError
        The file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(
            f"{path} is not GeoJSON ({error}): export it again with QuPath's File > Export objects"
        ) from None


def features_of(held, path):
    """The features in the content of a GeoJSON file, in its order.

    Parameters
    ----------
    held
        From `read_held`.
    path : path-like
        For messages.

    Returns
    -------
    list of dict
        Those of `held` itself, so that changes to them change it.

    Raises
    ------
    InputError
        It holds no features.
    """
    found = held.get("features", [held]) if isinstance(held, dict) else held
    if not isinstance(found, list) or not all(isinstance(one, dict) and "geometry" in one for one in found):
        raise InputError(f"{path} holds no GeoJSON features: export it with QuPath's File > Export objects as GeoJSON")
    return found


def identity_of(feature):
    """The id of a feature as text; empty if it has none, or if the id is the object's type.

    Examples
    --------
    >>> identity_of({"id": "4f2a"}), identity_of({"id": 7}), identity_of({"id": "PathAnnotationObject"})
    ('4f2a', '7', '')
    """
    found = feature.get("id")
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return "" if TYPE_IDS.fullmatch(text) else text


def _outline(feature):
    properties, geometry = feature.get("properties") or {}, feature["geometry"] or {}
    label, kind = label_of(properties.get("classification")), geometry.get("type", "no geometry")
    parts = {"Polygon": lambda found: [found], "MultiPolygon": list}.get(kind)
    if parts is None:
        return Outline(label, (), f"{kind}: only polygons can be cut out")
    try:
        found = parts(geometry["coordinates"])
        polygons = tuple(tuple(np.array(ring, np.float64)[:, :2] for ring in rings) for rings in found if rings)
    except (KeyError, TypeError, ValueError, IndexError):
        return Outline(label, (), "its coordinates cannot be read")
    if not all(np.isfinite(ring).all() for rings in polygons for ring in rings):
        return Outline(label, polygons, "its coordinates are not finite")
    empty = sum(_area(rings[0]) for rings in polygons) == 0
    return Outline(label, polygons, "an empty polygon" if empty else "")


def label_of(held):
    """The name of a class as QuPath shows it, from the content of ``properties.classification``."""
    if isinstance(held, dict):
        names = held.get("names")
        held = ": ".join(map(str, names)) if isinstance(names, list) else held.get("name")
    return held.strip() if isinstance(held, str) else ""


def _area(ring):
    """The area by the shoelace formula, in square pixels."""
    x, y = ring.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
