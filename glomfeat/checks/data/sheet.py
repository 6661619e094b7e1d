"""A picture of pairs side by side."""

import math
from pathlib import Path

from PIL import Image, ImageDraw

from glomfeat.core.atomic import written_whole
from glomfeat.data.files import read_bytes
from glomfeat.data.images.decode import Preprocess

TILE_PX, GAP_PX, TEXT_PX = 176, 6, 30
COLUMNS = 3
MOST = 60


def draw_pairs(frame, paths, captions, out):
    """Draw a contact sheet of at most `MOST` pairs.

    Parameters
    ----------
    frame : pandas.DataFrame
        With ``first`` and ``second``, rows of `paths`.
    paths : sequence of str
    captions : sequence of str
        One for each pair; a second line after a line break.
    out : path-like
        A PNG.

    Returns
    -------
    int
        How many were drawn.
    """
    shown = list(zip(frame["first"], frame["second"], captions, strict=True))[:MOST]
    if not shown:
        return 0
    wide, high = 2 * TILE_PX + 3 * GAP_PX, TILE_PX + TEXT_PX + GAP_PX
    columns = min(COLUMNS, len(shown))
    sheet = Image.new("RGB", (columns * wide, math.ceil(len(shown) / columns) * high), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (first, second, caption) in enumerate(shown):
        left, top = k % columns * wide, k // columns * high
        draw.text((left + GAP_PX, top + 2), caption, fill="black")
        for side, row in enumerate((first, second)):
            sheet.paste(_tile(paths[row]), (left + GAP_PX + side * (TILE_PX + GAP_PX), top + TEXT_PX))
    with written_whole(Path(out)) as part:
        sheet.save(part, "PNG")
    return len(shown)


def _tile(path):
    return Image.fromarray(Preprocess(TILE_PX).read(read_bytes(path))[0])
