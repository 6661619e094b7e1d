"""Annotations as QuPath writes them."""

SQUARE = [[10, 20], [40, 20], [40, 60], [10, 60], [10, 20]]
NEW = {"objectType": "annotation", "classification": {"name": "GS", "color": [200, 0, 0]}, "isLocked": True}
OLD = {"classification": {"name": "GS", "colorRGB": -3670016}, "isLocked": False, "measurements": []}


def feature(properties, geometry=None, **more):
    return {"type": "Feature", "geometry": geometry or {"type": "Polygon", "coordinates": [SQUARE]}, **more} | (
        {} if properties is None else {"properties": properties}
    )
