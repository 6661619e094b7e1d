"""Pairs of images that show the same thing: exact copies, changed copies, and likely sections of one glomerulus."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from glomfeat.checks.data.candidates import MIRROR, hashes, in_order, near_hashes, neighbours, signatures, unit
from glomfeat.checks.data.keypoints import KEPT, unpack
from glomfeat.checks.data.register import agreement, match, overlay, smooth
from glomfeat.checks.data.sections import likenesses, may_be_sections
from glomfeat.core.memory import Need
from glomfeat.core.progress import track
from glomfeat.core.seeds import seed_for
from glomfeat.features.pixels import digest_of_square

COPY = 0.93  # of `agreement`; copies saved as JPEG, turned, cropped and recoloured reach 0.97
ALIKE = 0.4
AGREE = 6  # patches that must agree, if the similarity is between these two
SECTIONS = 0.58  # of `likeness`, and more than for any of `COMPARED` pairs from different cases
COMPARED = 300
MOST_SECTIONS = 15_000
COLUMNS = ("first", "second", "kind", "hard", "similarity", "shared", "degrees", "mirrored", "scale", "found_by")
EXACT, SAME = "exact copy", "copy"
RESAVED = f"{SAME}: saved again"
LIKELY = "alike: may be serial sections"
UPRIGHT = 3.0  # degrees
WHOLE = 0.93  # of the image's area
RECOLOURED = 6.0  # grey levels by which a channel's mean differs


def pairs_need(images):
    """The memory that `find_pairs` needs.

    Examples
    --------
    >>> pairs_need(5758).bytes < 1e9
    True
    """
    patches, signatures, outlines = KEPT * (128 + 16), 2 * 2048 * 4, 20 * 1024  # per image
    size = images * max(2 * patches, patches + signatures + outlines)
    return Need(size + 250_000_000, f"the patches, signatures and outlines of {images} images")


def pair_seconds(keypoints):
    """Time how long a look at a candidate takes, on the first two images; 0 if there are fewer.

    Parameters
    ----------
    keypoints : ndarray of float32, shape (n, width)
        From the feature ``keypoints.v1``.
    """
    if len(keypoints) < 2:
        return 0.0
    places, patches = unpack(keypoints[:2])
    there, start = patches.any(axis=2), time.perf_counter()
    pairs = match(*(unit(patches[k][there[k]]) for k in (0, 1)))
    overlay(places[0][there[0]][pairs[:, 0]], places[1][there[1]][pairs[:, 1]], False)
    return time.perf_counter() - start


def find_pairs(extracted, sizes, seed, jobs=1, embedding=None, across=None):
    """Find all pairs of images that show the same thing.

    Images with the same pixels are copies, even if they are too smooth for anything else to tell. Other candidates are
    neighbours by local patches (as they are and mirrored), by perceptual hashes in 8 orientations and, if given, by an
    embedding; each candidate is laid over the other and compared point by point. Remaining pairs within a case are
    compared coarsely, because sections of one glomerulus are alike.

    Parameters
    ----------
    extracted : Extracted
        With the features ``keypoints.v1`` and ``thumbnail.v1``.
    sizes : ndarray of int, shape (n, 2)
        Width and height of the images before padding.
    seed : int
    jobs : int
        Threads.
    embedding : ndarray of float32, shape (n, width), optional
    across : int, optional
        If given, this many first rows are compared only with the other rows, and no two rows of one side with each
        other.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. `first` and `second` are rows of the manifest. `hard` tells copies from likely sections. If
        only some of the pairs within cases were compared, ``attrs["sampled"]`` says how many of how many.
    """
    manifest = extracted.manifest
    pixels = next(iter(extracted.pixels.values()))
    n, cases = len(manifest), manifest.cases
    exact = _exact(manifest.table["digest"].tolist())
    copies = {j for _, j in exact}  # one of several exact copies is enough
    rows = np.array([row for row in range(n) if row not in copies], np.int64)
    thumbs = extracted.matrices["thumbnail.v1"][rows]
    same = [tuple(rows[[a, b]].tolist()) for a, b in _exact(_pixel_digests(rows, thumbs, pixels, sizes))]
    resaved, kept = _whole(same, RESAVED, "pixels"), ~np.isin(rows, [j for _, j in same])
    rows, thumbs, keypoints = rows[kept], thumbs[kept], extracted.matrices["keypoints.v1"]
    if len(rows) < 2:
        return _frame(exact, resaved)
    parts = [unpack(keypoints[rows[part]]) for part in gen_batches(len(rows), 256)]
    places, patches = (np.concatenate(side) for side in zip(*parts, strict=True))
    del parts
    candidates = _candidates(patches, thumbs, seed_for(seed, "audit"), None if embedding is None else embedding[rows])
    if across is not None:
        candidates = [one for one in candidates if rows[one[0]] < across <= rows[one[1]]]
    found = _verify(candidates, places, patches, rows, pixels, sizes, jobs)
    known = {frozenset(pair["rows"]) for pair in found}
    sections, sampled = _sections(rows, cases, sizes, pixels, known, seed, jobs) if manifest.by_case else ([], "")
    frame = _frame(exact, resaved + found + sections)
    frame.attrs["sampled"] = sampled
    return frame


def _exact(digests):
    first, pairs = {}, []
    for row, digest in enumerate(digests):
        if first.setdefault(digest, row) != row:
            pairs.append((first[digest], row))
    return pairs


def _pixel_digests(rows, thumbs, pixels, sizes):
    """Digests that are equal only for images with the same pixels; those of a single colour equal no other image.

    Pixels are read only where thumbnails and sizes are equal. An image of one colour shows nothing that a copy could
    share.
    """
    digests = [
        hashlib.sha256(thumb.tobytes() + np.asarray(sizes[row], np.int64).tobytes()).hexdigest()
        for row, thumb in zip(rows, thumbs, strict=True)
    ]
    for place in sorted({place for pair in _exact(digests) for place in pair}):
        found = digest_of_square(pixels[rows[[place]]][0], sizes[rows[place]])
        digests[place] += str(place) if found is None else found.hex()
    return digests


def _candidates(patches, thumbs, seed, embedding):
    """Pairs, each with whether to look at it as it is, mirrored or both, and what found it."""
    plain, mirrored = signatures(patches, seed)
    ways = [
        ("patches", (False,), neighbours(plain, plain)),
        ("patches in a mirror", (True,), neighbours(mirrored, plain)),
        ("hash", (False, True), near_hashes(hashes(thumbs.reshape(-1, 32, 32)))),
    ]
    if embedding is not None:
        scaled = embedding - embedding.mean(axis=0)
        scaled /= np.maximum(scaled.std(axis=0), 1e-6)
        scaled = (scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        ways.append(("embedding", (False, True), neighbours(scaled, scaled)))
    asked = {}
    for name, mirrors, pairs in ways:
        for i, j in in_order(pairs).tolist():
            seen = asked.setdefault((i, j), (set(), []))
            seen[0].update(mirrors)
            seen[1].append(name)
    return sorted((i, j, tuple(sorted(mirrors)), names) for (i, j), (mirrors, names) in asked.items())


def _verify(candidates, places, patches, rows, pixels, sizes, jobs):
    there = patches.any(axis=2)

    def look(i_pairs):
        """Compare all candidates of one image, whose patches are prepared once."""
        i = i_pairs[0][0]
        plain = unit(patches[i][there[i]])
        turned = {False: plain, True: unit(patches[i][there[i]][:, MIRROR])}
        at, found = places[i][there[i]], []
        for _, j, mirrors, names in i_pairs:
            other, to = unit(patches[j][there[j]]), places[j][there[j]]
            fits = []
            for mirrored in mirrors:
                pairs = match(turned[mirrored], other)
                fits.append(overlay(at[pairs[:, 0]], to[pairs[:, 1]], mirrored))
            best = max((fit for fit in fits if fit), key=lambda fit: fit.agree, default=None)
            if best:
                found.append(_compare(rows[i], rows[j], best, names, pixels, sizes))
        return [pair for pair in found if pair]

    groups = {}
    for candidate in candidates:
        groups.setdefault(candidate[0], []).append(candidate)
    with ThreadPoolExecutor(jobs) as pool:
        return [
            pair for part in track(pool.map(look, groups.values()), "near-duplicates", len(groups)) for pair in part
        ]


def _compare(i, j, found, names, pixels, sizes):
    images = [pixels[np.array([row])][0] for row in (i, j)]
    longer = min(sizes[i].max(), sizes[j].max())
    one, two = (smooth(image, tuple(sizes[row]), longer) for image, row in zip(images, (i, j), strict=True))
    similarity, shared = agreement(one, two, found)
    if not similarity >= ALIKE or (similarity < COPY and found.agree < AGREE):
        return None
    native = abs(found.factor) * (max(sizes[j]) / max(sizes[i]))  # both are squares with the same side
    common = shared * two.size
    pair = {
        "rows": (int(i), int(j)),
        "hard": similarity >= COPY,
        "similarity": similarity,
        "shared": min(1.0, common / max(one.size * abs(found.factor) ** 2, two.size)),
        "degrees": found.degrees,
        "mirrored": found.mirrored,
        "scale": native,
        "found_by": " + ".join(names),
    }
    return pair | {"kind": _kind(pair, images) if pair["hard"] else LIKELY}


def _kind(pair, images):
    """Describe in words what was done to the copy."""
    turned = abs(pair["degrees"]) > UPRIGHT
    parts = ["flipped"] if pair["mirrored"] else []
    parts += ["turned"] if turned and not pair["mirrored"] else []
    parts += ["cropped or overlapping"] if pair["shared"] < WHOLE else []
    means = [image.reshape(-1, 3).mean(axis=0) for image in images]
    if pair["shared"] >= WHOLE and np.abs(means[0] - means[1]).max() > RECOLOURED:
        parts.append("recoloured")
    return f"{SAME}: {', '.join(parts)}" if parts else RESAVED


def _sections(rows, cases, sizes, pixels, known, seed, jobs):
    """Pairs within a case that look more alike coarsely than pairs from different cases do, and if sampled, how."""
    pairs = may_be_sections(cases[rows], sizes[rows])
    pairs = pairs[[frozenset(pair) not in known for pair in rows[pairs].tolist()]] if len(pairs) else pairs
    rng, sampled = np.random.default_rng(seed_for(seed, "audit", "sections")), ""
    if len(pairs) > MOST_SECTIONS:
        sampled = f"{MOST_SECTIONS:,} of {len(pairs):,} pairs of like size within cases, drawn at random (seed {seed})"
        pairs = pairs[np.sort(rng.permutation(len(pairs))[:MOST_SECTIONS])]
    if not len(pairs):
        return [], sampled
    apart = rng.integers(0, len(rows), (4 * COMPARED, 2))
    longer = sizes[rows].max(axis=1)
    ratio = longer[apart].max(axis=1) / longer[apart].min(axis=1)
    different = cases[rows][apart[:, 0]] != cases[rows][apart[:, 1]]
    apart = np.unique(apart[different & (ratio <= 1.4)][:COMPARED], axis=0)  # an image is turned once for all its pairs
    together = np.concatenate([pairs, apart])
    split = np.array_split(np.arange(len(together)), max(1, min(jobs, len(together) // 50)))
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda part: list(likenesses(rows[together[part]], pixels, sizes)), split)
        values = np.array([value for part in done for value in part])
    own, chance = values[: len(pairs)], values[len(pairs) :]
    least = max(SECTIONS, chance.max(initial=0))
    way = f"coarse outline, in {sampled}" if sampled else "coarse outline"
    likely = [
        {
            "rows": tuple(rows[pair].tolist()), "kind": LIKELY, "hard": False, "similarity": float(value),
            "shared": np.nan, "degrees": np.nan, "mirrored": False, "scale": np.nan, "found_by": way,
        }
        for pair, value in zip(pairs, own, strict=True)
        if value > least
    ]  # fmt: skip
    return likely, sampled


def _whole(pairs, kind, way):
    """Rows for pairs of images that are equal from edge to edge."""
    same = {"hard": True, "similarity": 1.0, "shared": 1.0, "degrees": 0.0, "mirrored": False, "scale": 1.0}
    return [{"rows": pair, "kind": kind, "found_by": way} | same for pair in pairs]


def _frame(exact, found):
    rows = _whole(exact, EXACT, "SHA-256") + found
    frame = pd.DataFrame(rows, columns=["rows", *COLUMNS[2:]])
    ends = np.array(frame.pop("rows").tolist(), np.int64).reshape(-1, 2)
    frame.insert(0, "first", ends.min(axis=1))
    frame.insert(1, "second", ends.max(axis=1))
    frame = frame.astype({"hard": bool, "mirrored": bool, "similarity": float})
    order = ["hard", "similarity", "first", "second"]
    return frame.sort_values(order, ascending=[False, False, True, True], ignore_index=True)[list(COLUMNS)]
