"""Which images of a case look like sections of one glomerulus: alike in coarse structure, but not in detail."""

import numpy as np
from PIL import Image
from scipy import fft, ndimage

from glomfeat.features.handcrafted.shortcut import interior

SIDE_PX = 52  # the size that the data set's median longer side is brought to, so that all have one magnification
SQUARE_PX = 108  # holds a turned image, with room to shift
BAND_PX = 1.5, 4.0  # nuclei are finer, and the next section does not share them; that glomeruli are round is coarser
ANGLES = tuple(range(-30, 31, 6))
OVERLAP = 0.6  # of the smaller image
SIZES = 1.4  # the longer sides of sections of one glomerulus do not differ by more


def coarse(image, size, typical):
    """A small grey version of an image, at one magnification for the whole data set.

    Parameters
    ----------
    image : ndarray of uint8, shape (side, side, 3)
    size : tuple of int
        Width and height before padding.
    typical : float
        The data set's median longer side, pixels.

    Returns
    -------
    ndarray of float32
        Sides of 8 to 76 pixels.
    """
    grey = Image.fromarray(interior(image, size)).convert("L")
    most = SQUARE_PX / np.sqrt(2)
    width, height = (int(np.clip(round(length * SIDE_PX / typical), 8, most)) for length in size)
    return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS), np.float32)


def spectra(grey, angles=(0,)):
    """Transforms of an image's frequency band, of its square and of the image's area, at each angle.

    Parameters
    ----------
    grey : ndarray of float32
    angles : sequence of float
        Degrees.

    Returns
    -------
    found : ndarray of complex64, shape (3, angles, 108, 55)
    area : ndarray of float, shape (angles,)
        Pixels that the image covers.
    """
    planes = np.zeros((3, len(angles), SQUARE_PX, SQUARE_PX), np.float32)
    for k, angle in enumerate(angles):
        turned, there = grey - grey.mean(), np.ones_like(grey)
        if angle:
            turned, there = (ndimage.rotate(part, angle, order=1) for part in (turned, there))
        there = (there > 0.99).astype(np.float32)
        low, high = (
            ndimage.gaussian_filter(turned * there, sigma) / np.maximum(ndimage.gaussian_filter(there, sigma), 0.05)
            for sigma in BAND_PX
        )
        band = ((low - high) * there)[:SQUARE_PX, :SQUARE_PX]
        rows, columns = band.shape
        planes[:, k, :rows, :columns] = band, band**2, there[:rows, :columns]
    return fft.rfft2(planes), planes[2].sum(axis=(1, 2))


def likeness(first, second):
    """The largest correlation of two images over all shifts and the angles of the first.

    Padfield, Masked object registration in the Fourier domain, IEEE TIP 21, 2012; bands have a mean near 0, so it is
    not subtracted again.

    Parameters
    ----------
    first, second
        From `spectra`; the second at one angle.

    Returns
    -------
    float
        -1 to 1.

    Examples
    --------
    >>> grey = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    >>> likeness(spectra(grey), spectra(grey)) > 0.99
    True
    """
    (a, area), (b, (other,)) = first, second
    band, square, there = a.conj()
    band_b, square_b, there_b = b[:, 0]
    products = np.stack([band * band_b, square * there_b, there * square_b, there * there_b])
    cross, left, right, count = fft.irfft2(products, (SQUARE_PX, SQUARE_PX))
    r = cross / np.sqrt(np.maximum(left * right, 1e-3))
    r[count < OVERLAP * np.minimum(area, other)[:, None, None]] = -1
    return float(r.max())


def likenesses(pairs, pixels, sizes):
    """Yield the `likeness` of pairs.

    Parameters
    ----------
    pairs : ndarray of int, shape (m, 2)
    pixels : Matrix
        Rows of shape (side, side, 3).
    sizes : ndarray of int, shape (n, 2)

    Yields
    ------
    float
    """
    typical, small, turned = float(np.median(sizes.max(axis=1))), {}, (-1, None)

    def view(row):
        if row not in small:
            small[row] = coarse(pixels[np.array([row])][0], tuple(sizes[row]), typical)
        return small[row]

    for i, j in pairs.tolist():
        if turned[0] != i:
            turned = i, spectra(view(i), ANGLES)
        yield likeness(turned[1], spectra(view(j)))


def may_be_sections(cases, sizes):
    """Find all pairs of images from one case and of about the same size.

    Parameters
    ----------
    cases : ndarray of int, shape (n,)
    sizes : ndarray of int, shape (n, 2)

    Returns
    -------
    ndarray of int, shape (m, 2)

    Examples
    --------
    >>> may_be_sections(np.array([0, 0, 1]), np.array([[50, 60], [66, 60], [50, 60]])).tolist()
    [[0, 1]]
    """
    found, longer = [np.empty((0, 2), np.int64)], sizes.max(axis=1)
    for case in np.unique(cases):
        rows = np.flatnonzero(cases == case)
        one, two = (rows[part] for part in np.triu_indices(len(rows), 1))
        near = np.maximum(longer[one], longer[two]) <= SIZES * np.minimum(longer[one], longer[two])
        found.append(np.column_stack([one[near], two[near]]))
    return np.concatenate(found)
