"""Handcrafted texture, stain, gradient and shape statistics of the crop without its padding, from scikit-image."""

import math

import numpy as np
from PIL import Image
from skimage import color, feature, measure

from glomfeat.features.base import Handcrafted
from glomfeat.features.handcrafted.shortcut import interior

CHANNELS = ("grey", "pas", "haematoxylin")
LBP_CHANNELS = CHANNELS[:2]  # local binary patterns take two thirds of the time, so one channel is left out
STAINS = ("haematoxylin", "pas", "residual")
STAIN_TOP = 2.5  # optical density (natural logarithm) that 8-bit stain channels are clipped at
LBP_RADII_PX = (1, 2, 3)
LBP_POINTS = 8
GLCM_LEVELS = 32
GLCM_DISTANCES_PX = (1, 3, 6)
GLCM_ANGLES = (0, math.pi / 4, math.pi / 2, 3 * math.pi / 4)
GLCM_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
PERCENTILES = (5, 25, 50, 75, 95)
HOG_SIDE_PX, HOG_CELLS, HOG_BINS = 64, 4, 9
TISSUE_DENSITY = 0.15  # optical density below which a pixel is glass: Macenko et al., ISBI 2009
SHAPE = (
    "tissue_share",
    "eccentricity",
    "solidity",
    "perimeter_per_area",
    "log_parts",
    "log_holes",
    "hole_share",
    "largest_white_share",
)

_LBP_BINS = (*(f"ones{ones}" for ones in range(LBP_POINTS + 1)), "mixed")
_NAMES = {
    "lbp": [f"lbp.{channel}.r{r}.{code}" for channel in LBP_CHANNELS for r in LBP_RADII_PX for code in _LBP_BINS],
    "glcm": [
        f"glcm.{channel}.{name}.{over}.d{distance}"
        for channel in CHANNELS
        for name in GLCM_PROPERTIES
        for over in ("mean", "range")
        for distance in GLCM_DISTANCES_PX
    ],
    "hed": [
        *(f"hed.{stain}.{name}" for stain in STAINS for name in ("mean", "sd", "skewness")),
        *(f"hed.{stain}.p{percentile}" for percentile in PERCENTILES for stain in STAINS),
        "hed.haematoxylin.pas.correlation",
    ],
    "hog": [
        f"hog.row{row}.column{column}.bin{angle}"
        for row in range(HOG_CELLS)
        for column in range(HOG_CELLS)
        for angle in range(HOG_BINS)
    ],
    "shape": [f"shape.{name}" for name in SHAPE],
}
_STOPS = np.cumsum([len(names) for names in _NAMES.values()]).tolist()
# The columns of each group.
GROUPS = {group: slice(stop - len(_NAMES[group]), stop) for group, stop in zip(_NAMES, _STOPS, strict=True)}


def classical():
    """Five groups of handcrafted statistics, 345 values: `lbp`, `glcm`, `hed`, `hog`, `shape`.

    Returns
    -------
    Handcrafted

    Examples
    --------
    >>> classical().transform(np.zeros((2, 16, 16, 3), np.uint8), np.array([[30, 20], [5, 5]])).shape
    (2, 345)
    >>> {group: columns.stop - columns.start for group, columns in GROUPS.items()}
    {'lbp': 60, 'glcm': 108, 'hed': 25, 'hog': 144, 'shape': 8}
    """
    return Handcrafted("classical.v1", describe, columns=tuple(classical_names()))


def classical_names():
    """Names of the columns of `classical`; the word before the first dot is the group.

    Returns
    -------
    list of str

    Examples
    --------
    >>> classical_names()[0], classical_names()[GROUPS["shape"]][0]
    ('lbp.grey.r1.ones0', 'shape.tissue_share')
    """
    return [name for names in _NAMES.values() for name in names]


def describe(image, size):
    """All groups, in the order of `GROUPS`: 345 values of an image, as `glomfeat.Handcrafted` asks for them."""
    rgb = interior(image, size)
    stains = stain_densities(rgb)
    shares = color.rgb2gray(rgb), stains[1] / STAIN_TOP, stains[0] / STAIN_TOP  # as `CHANNELS` names them
    channels = [np.rint(255 * np.minimum(share, 1)).astype(np.uint8) for share in shares]
    groups = lbp(channels[: len(LBP_CHANNELS)]), glcm(channels), hed(stains), hog(channels[0]), shape(rgb)
    return np.concatenate(groups)


def stain_densities(rgb):
    """Haematoxylin, PAS and what neither explains, by colour deconvolution.

    The stain vectors are scikit-image's ``hpx_from_rgb``: haematoxylin (0.644, 0.717, 0.267) and PAS
    (0.175, 0.972, 0.155) as measured by G. Landini for ImageJ's Colour Deconvolution.
    Method: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (rows, columns, 3)

    Returns
    -------
    ndarray of float64, shape (3, rows, columns)
        Optical densities (natural logarithm), 0 and above.
    """
    stains = color.separate_stains(rgb, color.hpx_from_rgb)  # in units of -log(1e-6)
    return np.moveaxis(stains * -math.log(1e-6), -1, 0)


def lbp(channels):
    """Histograms of uniform, rotation-invariant local binary patterns: 2 channels x 3 radii x 10 values.

    Ojala, Pietikäinen and Mäenpää, IEEE TPAMI 24, 2002. The border is continued outwards.

    Parameters
    ----------
    channels : sequence of ndarray of uint8, shape (rows, columns)

    Returns
    -------
    list of float
        Shares: each histogram adds up to 1.
    """
    values = []
    for channel in channels:
        for radius in LBP_RADII_PX:
            padded = np.pad(channel, radius, mode="edge")
            codes = feature.local_binary_pattern(padded, LBP_POINTS, radius, "uniform")
            codes = codes[radius:-radius, radius:-radius].astype(np.intp).ravel()
            values.extend(np.bincount(codes, minlength=LBP_POINTS + 2) / codes.size)
    return values


def glcm(channels):
    """Co-occurrence statistics: 3 channels x 6 properties x (mean, range over 4 angles) x 3 distances.

    Haralick, Shanmugam and Dinstein, IEEE Trans. SMC 3, 1973. As they suggest, values are averaged over angles, so they
    do not change if an image is turned by 90 degrees.

    Parameters
    ----------
    channels : sequence of ndarray of uint8, shape (rows, columns)
        Quantised here to 32 levels.

    Returns
    -------
    ndarray of float64
        At distances that do not fit into the image, all values are 0 and the correlation is 1.
    """
    values = []
    for channel in channels:
        levels = channel // (256 // GLCM_LEVELS)
        counts = feature.graycomatrix(levels, GLCM_DISTANCES_PX, GLCM_ANGLES, GLCM_LEVELS, symmetric=True)
        for name in GLCM_PROPERTIES:
            by_angle = feature.graycoprops(counts, name)
            values += [by_angle.mean(axis=1), np.ptp(by_angle, axis=1)]
    return np.concatenate(values)


def hed(stains):
    """Distribution of each stain and the correlation of haematoxylin with PAS: 3 x (3 + 5 percentiles) + 1 values.

    Parameters
    ----------
    stains : ndarray of float64, shape (3, rows, columns)
        As `stain_densities` gives them.

    Returns
    -------
    ndarray of float64, shape (25,)
        Skewness and correlation are 0 if a stain does not vary.
    """
    flat = stains.reshape(len(stains), -1)
    mean, sd = flat.mean(axis=1), flat.std(axis=1)
    varies = sd > 1e-9
    z = (flat - mean[:, None]) * (varies / np.where(varies, sd, 1))[:, None]
    moments = np.stack([mean, sd, (z * z * z).mean(axis=1)], axis=1)
    return np.concatenate([moments.ravel(), np.percentile(flat, PERCENTILES, axis=1).ravel(), [(z[0] * z[1]).mean()]])


def hog(grey):
    """Histograms of oriented gradients of 4 x 4 cells with 9 directions: 144 values.

    Dalal and Triggs, CVPR 2005. The image is resized to a square, and cells are normalised one by one.
    These are the only values that change when the image is turned.

    Parameters
    ----------
    grey : ndarray of uint8, shape (rows, columns)

    Returns
    -------
    ndarray of float64, shape (144,)
    """
    square = Image.fromarray(grey).resize((HOG_SIDE_PX, HOG_SIDE_PX), Image.Resampling.BILINEAR)
    cell = HOG_SIDE_PX // HOG_CELLS
    return feature.hog(np.asarray(square), HOG_BINS, (cell, cell), (1, 1))


def shape(rgb):
    """Shape of the tissue and of the white in it (capillary lumina, urinary space): 8 values.

    Tissue is what absorbs light: mean optical density above 0.15. Moments, hull and perimeter are those of
    scikit-image's ``regionprops``; areas are shares of the crop, lengths are in shares of its root area.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (rows, columns, 3)

    Returns
    -------
    list of float
        As `SHAPE` names them. Without tissue all are 0, except the share of the largest white area, which is 1.
    """
    tissue = -np.log((rgb + 1.0) / 256).mean(axis=2) > TISSUE_DENSITY
    if not tissue.any():
        return [*[0.0] * (len(SHAPE) - 1), 1.0]
    region = measure.regionprops(tissue.astype(np.uint8))[0]
    parts = measure.label(tissue, connectivity=2).max()
    white = measure.label(~tissue, connectivity=1)
    white_px = np.bincount(white.ravel())
    white_px[0] = 0  # the tissue
    hole_px = white_px.copy()
    hole_px[np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])] = 0
    return [
        region.area / tissue.size,
        region.eccentricity,
        region.solidity,
        region.perimeter / region.area * math.sqrt(tissue.size),
        math.log1p(parts),
        math.log1p(np.count_nonzero(hole_px)),
        hole_px.sum() / tissue.size,
        white_px.max() / tissue.size,
    ]
