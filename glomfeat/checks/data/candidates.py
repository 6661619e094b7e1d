"""Which of all pairs of images are worth a closer look: neighbours by patches, by outline and by a feature."""

import math

import numpy as np
from PIL import Image
from scipy import fft
from sklearn.cluster import KMeans

from glomfeat.features.base import Handcrafted
from glomfeat.features.handcrafted.shortcut import interior

NEIGHBOURS = 12  # per image, for each way in which it may look like another
WORDS, LEARNED_FROM = 16, 20_000
THUMB_PX, HASH_PX = 32, 8
HASH_BITS = 8  # how many of 63 bits may differ
BLOCK = 512
# The descriptor of a patch in a mirror: 4 x 4 places whose columns swap order, 8 angles that change sign.
MIRROR = np.arange(128).reshape(4, 4, 8)[:, ::-1, -np.arange(8) % 8].ravel()


def thumbnail():
    """A feature of the crop without its padding as 32 x 32 grey levels, whatever its aspect: what is hashed.

    Returns
    -------
    Handcrafted

    Examples
    --------
    >>> thumbnail().transform(np.zeros((1, 64, 64, 3), np.uint8), np.array([[64, 32]])).shape
    (1, 1024)
    """
    return Handcrafted("thumbnail.v1", _shrink, standardise=False)


def _shrink(image, size):
    grey = Image.fromarray(interior(image, size)).convert("L")
    return np.asarray(grey.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX), np.float32).ravel()


def hashes(thumbs):
    """Perceptual hashes of images in all 8 orientations: signs of the low frequencies against their median.

    The pHash of Zauner (Implementation and benchmarking of perceptual image hash functions, 2010), which the library
    imagehash computes for one orientation. Here flips are sign changes and turns are transpositions of a single cosine
    transform, so the other seven cost nothing. The mean (brightness) is left out.

    Parameters
    ----------
    thumbs : ndarray of float, shape (n, 32, 32)

    Returns
    -------
    ndarray of uint64, shape (8, n)
        The first row is the image as it is.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(1, 32, 32))
    >>> turned = hashes(np.rot90(image, axes=(1, 2)))[0]
    >>> bool((hashes(image)[:, 0] == turned[0]).any())
    True
    """
    low = fft.dctn(np.asarray(thumbs, np.float64), axes=(1, 2))[:, :HASH_PX, :HASH_PX]
    sign = (-1.0) ** np.arange(HASH_PX)
    found = []
    for turned in (low, low.swapaxes(1, 2)):
        for rows in (1.0, sign[:, None]):
            for columns in (1.0, sign):
                values = (turned * rows * columns).reshape(len(low), -1)[:, 1:]
                bits = values > np.median(values, axis=1, keepdims=True)
                found.append(np.packbits(bits, axis=1, bitorder="little").view(np.uint64)[:, 0])
    return np.array(found)


def near_hashes(found):
    """Find pairs whose hashes differ in few bits in some orientation.

    Parameters
    ----------
    found : ndarray of uint64, shape (8, n)
        From `hashes`.

    Returns
    -------
    ndarray of int, shape (pairs, 2)
        Row numbers, the smaller one first.
    """
    n, pairs = found.shape[1], []
    for start in range(0, n, BLOCK):
        near = False
        for turned in found[:, start : start + BLOCK, None]:
            near |= np.bitwise_count(turned ^ found[0]) <= HASH_BITS
        rows, columns = np.nonzero(near)
        pairs.append(np.column_stack([rows + start, columns]))
    return in_order(np.concatenate(pairs))


def in_order(pairs):
    """Each pair once, with the smaller row first, and no row paired with itself."""
    pairs = np.sort(np.asarray(pairs, np.int64).reshape(-1, 2), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def signatures(patches, seed):
    """A vector for each image, similar for images that share many patches, and one for its mirror image.

    Vectors of locally aggregated descriptors: Jégou et al., CVPR 2010, with signed square roots.

    Parameters
    ----------
    patches : ndarray of uint8, shape (n, k, 128)
        Zeros where an image has fewer than k.
    seed : int
        For the 16 words, which are learnt from these images.

    Returns
    -------
    plain, mirrored : ndarray of float32, shape (n, 2048)
        Of unit length, or zeros.
    """
    used = np.flatnonzero(patches.reshape(-1, patches.shape[-1]).any(axis=1))
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(used)[:LEARNED_FROM])
    if len(some) < WORDS:
        return (np.zeros((len(patches), WORDS * patches.shape[-1]), np.float32),) * 2
    sample = unit(patches.reshape(-1, patches.shape[-1])[some])
    words = KMeans(WORDS, n_init=1, max_iter=30, random_state=seed).fit(sample).cluster_centers_
    return tuple(
        np.concatenate([_gather(patches[k : k + BLOCK][..., order], words) for k in range(0, len(patches), BLOCK)])
        for order in (slice(None), MIRROR)
    )


def unit(descriptors):
    """Turn rows into float32 of length 1; zeros stay zeros.

    Square roots are taken first: Arandjelović and Zisserman, Three things everyone should know to improve object
    retrieval, CVPR 2012.
    """
    roots = np.sqrt(descriptors.astype(np.float32))
    return roots / np.maximum(np.linalg.norm(roots, axis=-1, keepdims=True), 1e-9)


def _gather(patches, words):
    rows = unit(patches)
    nearest = (rows @ words.T.astype(np.float32) - (words**2).sum(1).astype(np.float32) / 2).argmax(axis=-1)
    there = patches.any(axis=-1)
    found = np.zeros((len(rows), *words.shape), np.float32)
    for word in range(len(words)):
        mine = (nearest == word) & there
        found[:, word] = np.einsum("nk,nkd->nd", mine.astype(np.float32), rows) - mine.sum(1)[:, None] * words[word]
    found = np.sign(found) * np.sqrt(np.abs(found))
    found = found.reshape(len(found), -1)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def neighbours(first, second, count=NEIGHBOURS):
    """Pair each row of `first` with the rows of `second` at the smallest angles.

    Parameters
    ----------
    first, second : ndarray of float32, shape (n, width)
        Of unit length. A row is never its own neighbour.

    Returns
    -------
    ndarray of int, shape (n * count, 2)
        Not in order.

    Examples
    --------
    >>> rows = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    >>> neighbours(rows, rows, 1).tolist()
    [[0, 2], [1, 2], [2, 0]]
    """
    n = len(first)
    count, found = min(count, n - 1), []
    if count < 1:
        return np.empty((0, 2), np.int64)
    for start in range(0, n, BLOCK):
        near = first[start : start + BLOCK] @ second.T
        rows = np.arange(len(near))
        near[rows, rows + start] = -math.inf
        best = np.argpartition(-near, count - 1, axis=1)[:, :count]
        found.append(np.column_stack([np.repeat(rows + start, count), best.ravel()]))
    return np.concatenate(found)
