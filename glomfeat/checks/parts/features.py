"""What a feature must do."""

import functools
import json
import re
import time

import numpy as np

from glomfeat.checks.parts.findings import brief, describe, note, wrong
from glomfeat.checks.parts.parts import sent, takes
from glomfeat.data.cartoon import render
from glomfeat.data.images.decode import Preprocess, encode_png
from glomfeat.data.phantom import Phantom, plan_phantom
from glomfeat.features.base import missing_members
from glomfeat.features.budget import is_network
from glomfeat.features.pixels import Pixels

SIDE, OTHER_SIDES = 64, (48, 96)
ODD_SIZES = ((1, 1), (3, 7), (4000, 3), (3, 4000))
LONG_KEY = 1000


@functools.cache
def _pictures(side):
    """Images that a feature may meet, by kind: uint8 of shape (side, side, 3)."""
    rng = np.random.default_rng(0)
    rows = plan_phantom(Phantom(images=2, cases=2, min_px=60, max_px=90)).to_dict("records")
    drawn = {f"phantom {k}": Preprocess(side).read(encode_png(render(0, row)))[0] for k, row in enumerate(rows)}
    plain = {name: np.full((side, side, 3), value, np.uint8) for name, value in (("white", 255), ("black", 0))}
    return drawn | plain | {"noise": rng.integers(0, 256, (side, side, 3), np.uint8)}


def stack(side=SIDE):
    """A new stack of all test images: uint8 of shape (5, side, side, 3)."""
    return np.stack(list(_pictures(side).values()))


def sizes():
    """Width and height of each test image before padding: int32 of shape (5, 2)."""
    return np.array([[64, 64], [40, 80], [81, 41], [200, 200], [7, 3]], np.int32)


def _close(one, other):
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-4 * max(np.abs(one).max(), 1e-9))


def _is_a_feature(part):
    if not takes(part.make):
        return [wrong("it cannot be called with nothing: write it as def NAME()")]
    made = part.make()
    missing = missing_members(made)
    if isinstance(made, type) or {"name", "transform"} & {*missing}:
        return [wrong(f"it returns {describe(made)}: return glomfeat.Handcrafted('name.v1', function)")]
    return [wrong(f"it has no {name}: derive it from glomfeat.Handcrafted, or set it") for name in missing]


def _named(part):
    made, again, said = part.make(), part.make(), []
    if made is again:
        said.append(wrong("two calls return the same object: make a new one in the function"))
    if not isinstance(made.name, str) or not re.fullmatch(r"[^/\s.][^/\s]*\.[^/\s.]+", made.name):
        said.append(wrong(f"its name is {made.name!r}: write name.version, such as redness.v1, without slash or space"))
    if again.name != made.name or repr(again.key) != repr(made.key):
        said.append(wrong("two calls give other names or keys: they must say what the numbers depend on, and no more"))
    if isinstance(made, Pixels):
        return said
    try:
        key = json.dumps(made.key)
    except (TypeError, ValueError) as error:
        key = None
        said.append(wrong(f"its key is no plain data ({brief(error)}): use text, numbers, lists and dicts"))
    if key is not None and (not isinstance(made.key, dict) or len(key) > LONG_KEY):
        said.append(wrong(f"its key is {describe(made.key)} of {len(key)} characters: give a short dict"))
    if not isinstance(made.weights, str) or made.standardise not in (True, False):
        said.append(wrong("weights must be text (empty for none) and standardise True or False"))
    return said


def _describes(part):
    said, made = [], part.make()
    for name, image in zip(_pictures(SIDE), stack(), strict=True):
        try:
            rows = made.transform(image[None], sizes()[:1])
        except Exception as error:
            said.append(wrong(f"for the image {name!r} it raises {brief(error)}"))
            continue
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) != 1:
            shape = getattr(rows, "shape", None)
            said.append(wrong(f"transform returns {describe(rows)} of shape {shape} for one image: return (n, width)"))
        elif not np.isfinite(rows).all():
            said.append(wrong(f"for the image {name!r} it gives NaN or infinity: give a number for every image"))
        elif rows.dtype != np.float32:
            said.append(wrong(f"its numbers are {rows.dtype}: return float32"))
        if said and said[-1].text.startswith(("transform", "its numbers")):
            break
    return said


def _each_image_alone(part):
    made, pixels = part.make(), stack()
    rows, n = made.transform(pixels, sizes()), len(pixels)
    backwards = made.transform(pixels[::-1].copy(), sizes()[::-1].copy())[::-1]
    alone = np.concatenate([made.transform(pixels[k : k + 1], sizes()[k : k + 1]) for k in range(n)])
    for other, what in ((backwards, "their order"), (alone, "the images beside it")):
        if not _close(rows, other):
            return [wrong(f"an image's numbers depend on {what}: describe each by itself")]
    return []


def _repeats(part):
    pixels, made = stack(), part.make()
    one, two, other = (maker.transform(pixels, sizes()) for maker in (made, made, part.make()))
    if not (np.array_equal(one, two) and np.array_equal(one, other)):
        return [wrong("it gives other numbers when asked twice: draw nothing at random, or from a fixed seed")]
    return []


def _leaves_inputs(part):
    pixels, before = stack(), sizes()
    part.make().transform(pixels, before)
    said = [] if np.array_equal(pixels, stack()) else [wrong("it changes the pixels that it is given: work on a copy")]
    if not np.array_equal(before, sizes()):
        said.append(wrong("it changes the sizes that it is given: work on a copy"))
    if not said:
        pixels.flags.writeable = before.flags.writeable = False
        try:
            part.make().transform(pixels, before)
        except Exception as error:
            said.append(wrong(f"it cannot read pixels that may not be written to: {brief(error)}"))
    return said


def _travels(part):
    made = part.make()
    if is_network(made):
        return []
    try:
        copy = sent(made)
    except Exception as error:
        return [wrong(f"it cannot be sent to a worker process ({brief(error)}): hold no open files, locks or models")]
    pixels = stack()
    same = _close(copy.transform(pixels, sizes()), made.transform(pixels, sizes()))
    return [] if same else [wrong("what arrives in a worker process gives other numbers")]


def _other_sizes(part):
    made, widths = part.make(), {}
    for side in (SIDE, *OTHER_SIDES):
        try:
            widths[side] = made.transform(stack(side), sizes()).shape[1]
        except Exception as error:
            return [wrong(f"for images of --size {side} it raises {brief(error)}")]
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{width} at {side}" for side, width in widths.items())
        return [note(f"how many numbers it gives depends on --size: {shown}")]
    return []


def _odd_sizes(part):
    made, image = part.make(), stack()[:1]
    width = made.transform(image, sizes()[:1]).shape[1]
    for wide, high in ODD_SIZES:
        of = f"for an image of {wide} x {high} px before padding it"
        try:
            found = made.transform(image, np.array([[wide, high]], np.int32))
        except Exception as error:
            return [wrong(f"{of} raises {brief(error)}")]
        if not np.isfinite(found).all():
            return [wrong(f"{of} gives NaN or infinity")]
        if found.shape[1] != width:
            return [wrong(f"{of} gives {found.shape[1]} numbers, and {width} for others: always return as many")]
    return []


def _cost(part):
    made, pixels = part.make(), stack()
    made.transform(pixels, sizes())
    start = time.perf_counter()
    rows = made.transform(pixels, sizes())
    took = (time.perf_counter() - start) / len(pixels)
    found = [note(f"it is {rows.shape[1]} wide; {1000 * took:.2g} ms an image at --size {SIDE}")]
    same = int((np.ptp(rows, axis=0) == 0).sum())
    if same:
        found.append(note(f"{same} of its columns are the same for all test images"))
    if not np.array_equal(rows, made.transform(pixels, sizes() * 2)):
        found.append(note("it reads the size before padding"))
    return found


BASIC = (
    ("returns a feature", _is_a_feature),
    ("describes white, black, noisy and drawn images by finite float32 numbers", _describes),
    ("leaves pixels and sizes as they are", _leaves_inputs),
    ("repeats itself", _repeats),
)
OTHERS = (
    ("has a name with a version and a short key, and is new each time", _named),
    ("describes each image by itself", _each_image_alone),
    ("can be sent to worker processes", _travels),
    ("gives as many numbers at any --size", _other_sizes),
    ("works with any size before padding", _odd_sizes),
    ("width and time", _cost),
)
