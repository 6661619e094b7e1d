"""How the phantom is drawn: cartoons of PAS-stained glomeruli, from open to globally sclerotic.

A glomerulus is two maps of how much PAS (magenta) and how much haematoxylin (blue) each point holds. A section cuts,
shifts and bends the maps; a slide turns them into light by Beer and Lambert's law with its own stain and scanner.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from glomfeat.core.seeds import seed_for

PAS = (0.42, 1.10, 0.40)  # optical density of one unit of stain in red, green, blue
HAEMATOXYLIN = (0.92, 1.12, 0.55)

# What a site that leans to one side adds to the 14 deviates of `_light`: more PAS, less haematoxylin, lower contrast, a
# duller focus, a darker picture, redder magenta, fainter blue and yellower glass.
SITE = (2.0, -1.5, -1.0, 1.5, 2.5, -1.5, 1.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.5)


def generator(seed, *names):
    """A random generator for a named part of the phantom."""
    return np.random.default_rng(seed_for(seed, "phantom", *names))


def render(seed, row):
    """Draw one image of the plan.

    Parameters
    ----------
    seed : int
        The phantom's.
    row : dict
        A row of `plan_phantom`. The label is not used: what shows is the severity.

    Returns
    -------
    ndarray of uint8, shape (height, width, 4)
        RGBA; a few images have a transparent border.
    """
    rng = generator(seed, "image", row["name"])
    body = generator(seed, "glomerulus", row["case"], row["glomerulus"])
    shape, canvas = (row["height"], row["width"]), 1.12 * row["diameter"]
    axes = canvas * min(1, 1 / row["aspect"]), canvas * min(1, row["aspect"])
    margin = body.uniform(0.84, 1.0)  # how much of the surroundings the crop shows
    maps = _glomerulus(body, rng, [round(a) for a in axes], row["severity"])
    pas, haem = _section(rng, maps, shape, margin)
    stain = generator(seed, "case", row["case"]).normal(0, 1, 14)  # cases differ a lot, slides of a case a little
    stain += generator(seed, "slide", row["case"], row["slide"]).normal(0, 0.3, 14)
    if row.get("leaning"):
        stain += row["leaning"] * np.array(SITE)
    rgb = _light(rng, stain, pas, haem)
    alpha = np.full(shape, 255, np.uint8)
    if rng.random() < 0.04:  # the scanner's field ended here
        y, x = np.indices(shape)
        alpha[(x * rng.choice([0, 1, 1.5]) + y < shape[0] * rng.uniform(0.04, 0.12))] = 0
        rgb[alpha == 0] = 0
    return np.dstack([rgb, alpha])


def _noise(rng, shape, scale):
    """A smooth random field with mean 0 and standard deviation 1; `scale` in pixels."""
    coarse = max(1, int(scale / 2))  # a field this smooth can be drawn coarse and enlarged
    field = rng.standard_normal([-(-n // coarse) for n in shape], np.float32)
    field = ndimage.gaussian_filter(field, scale / coarse, mode="wrap", truncate=2.5)
    if coarse > 1:
        field = np.asarray(Image.fromarray(field).resize(shape[::-1], Image.Resampling.BICUBIC))
    return (field - field.mean()) / field.std()


def _step(values, low, high):
    """0 below `low`, 1 above `high`, linear in between."""
    return np.clip((values - low) / (high - low), 0, 1)


def _ridge(values, width):
    return np.exp(-((values / width) ** 2))


def _outline(rng, angle, roughness):
    """A closed wavy outline: its radius, about 1, at each angle."""
    return 1 + sum(rng.normal(0, roughness / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 8))


def _pick(rng, mask, n):
    """Flat indices of at most `n` of the pixels of a mask."""
    at = np.flatnonzero(mask)
    return rng.choice(at, min(len(at), n), replace=False)


def _scatter(rng, density):
    """Flat indices of pixels about 8 apart, each kept with the probability that `density` gives there."""
    y, x = (a.ravel() for a in np.mgrid[4 : density.shape[0] : 8, 4 : density.shape[1] : 8])
    y, x = (np.clip(a + rng.integers(-3, 4, a.size), 0, m - 1) for a, m in zip((y, x), density.shape, strict=True))
    return (y * density.shape[1] + x)[rng.random(y.size) < density[y, x]]


def _stamp_nuclei(rng, kept, nuclei, at, size, stretch, angle=None):
    """Draw elliptic nuclei with a darker rim at flat indices; `kept` draws which of them this section hits."""
    y, x = (a[:, None, None] for a in np.divmod(at, nuclei.shape[1]))
    angle = (rng.uniform(0, np.pi, len(at)) if angle is None else angle)[:, None, None]
    size, stretch = size * rng.uniform(0.8, 1.25, y.shape), np.sqrt(stretch * rng.uniform(0.85, 1.5, y.shape))
    depth = rng.uniform(0.65, 1.05, y.shape) * (kept.random(y.shape) < 0.85)
    dy, dx = np.mgrid[-7:8, -7:8]
    sin, cos = np.sin(angle), np.cos(angle)
    radius = np.hypot((dx * cos + dy * sin) / (size * stretch), (dy * cos - dx * sin) * stretch / size)
    ink = depth * _step(-radius, -1.25, -0.8) * (0.72 + 0.28 * _step(radius, 0.3, 0.8))
    rows, columns = np.broadcast_arrays(y + dy, x + dx)
    inside = (rows >= 0) & (rows < nuclei.shape[0]) & (columns >= 0) & (columns < nuclei.shape[1])
    np.maximum.at(nuclei, (rows[inside], columns[inside]), ink[inside])


def _glomerulus(rng, kept, shape, severity):
    """The maps of PAS and of haematoxylin on a canvas a little larger than the glomerulus."""
    y, x = np.indices(shape, np.float32)
    v, u = (y / shape[0] - 0.5) * 2.3, (x / shape[1] - 0.5) * 2.3
    pas, haem, nuclei = _surroundings(rng, kept, shape, u, v)
    half = min(shape) / 2.3  # pixels from the centre to the capsule

    angle, radius = np.arctan2(v, u), np.hypot(u, v)
    radius = radius / (_outline(rng, angle, 0.05) * rng.uniform(0.86, 0.97))
    wrinkle = _noise(rng, shape, 5) * (0.012 + 0.02 * severity)
    edge = (radius - 1 + wrinkle) * half  # pixels outside the capsule
    thick = rng.lognormal(0.55, 0.3) + 1.3 * severity * rng.random()
    inside = _step(-edge, -0.5, 0.5)
    nuclei *= 1 - inside

    # Bowman's space: nearly empty, or filled with pale collagen in layers around the tuft, like onion skins.
    filled = _step(severity + rng.normal(0, 0.12), 0.45, 0.8) * rng.uniform(0.5, 1)
    skins = 0.5 + 0.5 * np.sin(edge * 1.1 + 2.5 * _noise(rng, shape, 7))
    space_pas = 0.03 + filled * (0.27 + 0.16 * skins)

    # The tuft: lobes around a pole where it hangs on the capsule; in some glomeruli of either kind it shrinks.
    shrunk = rng.beta(1.2, 5) + 0.5 * filled * rng.beta(1.5, 3)
    pole = _ridge(np.angle(np.exp(1j * (angle - rng.uniform(0, 6.3)))), 0.45)
    reach = (0.93 - 0.45 * shrunk) * _outline(rng, angle, 0.05) + 0.12 * pole
    lobes = _noise(rng, shape, half * 0.13)
    tuft = (reach - radius + 0.035 * lobes) * half
    open_here = 1 - _step((severity - 0.5) * 4.2 + _noise(rng, shape, half * 0.22), -0.25, 0.25)
    clefts = _ridge(lobes, 0.09 + 0.1 * rng.random()) * _step(radius, 0.1, 0.35) * open_here
    tuft = _step(tuft, -0.7, 0.7) * (1 - clefts)

    # Open parts: the zero crossings of a field are walls, with lumen on one side and mesangium on the other.
    loops = _noise(rng, shape, rng.uniform(2.1, 2.8))
    lumen = _step(loops, rng.uniform(0.1, 0.45), 0.8)
    fine, grain = _noise(rng, shape, 1.1), _noise(rng, shape, 2.6)
    matrix = rng.uniform(0.22, 0.72)
    walls = _ridge(loops - 0.3, 0.28) + 0.6 * _ridge(grain, 0.25)
    open_pas = (1 - lumen) * (matrix + 0.4 * walls + 0.08 * fine) + 0.04
    # Solid parts: felted fibrils, and in some of them remaining holes.
    turn = rng.uniform(0, 6.3)
    fibrils = np.sin((np.cos(turn) * x + np.sin(turn) * y) * 0.7 + 3.2 * _noise(rng, shape, 11) + 0.8 * grain)
    left = 2.5 - 1.8 * rng.beta(1, 2.2)
    holes = _step(loops + 0.5 * lobes, left, left + 0.4)
    solid_pas = rng.uniform(0.48, 0.95) + 0.09 * fibrils + 0.09 * grain + 0.07 * fine
    solid_pas = solid_pas * (1 - 0.95 * holes)
    tuft_pas = open_here * open_pas + (1 - open_here) * solid_pas
    tuft_haem = 0.10 * (1 - lumen * open_here) * (1 - holes)

    ring = _ridge(edge, thick) * (0.95 + 0.25 * _noise(rng, shape, 6)).clip(0.45, 1.3)
    pas = pas * (1 - inside) + inside * (space_pas * (1 - tuft) + tuft_pas * tuft)
    pas = np.maximum(pas, ring)
    haem = haem * (1 - inside) + inside * (0.02 + 0.06 * filled + tuft_haem * tuft)

    crowd = rng.uniform(0.3, 0.65)
    cells = tuft * crowd * (open_here * (1 - 0.6 * lumen) + 0.2 * (1 - open_here)) + 0.1 * filled * (1 - tuft)
    _stamp_nuclei(rng, kept, nuclei, _scatter(rng, inside * cells), 2.7, 1.3)
    lining = _pick(rng, np.abs(edge + thick + 1) < 0.7, rng.integers(5, 16))
    _stamp_nuclei(rng, kept, nuclei, lining, 2.3, 2.2, angle.ravel()[lining] + np.pi / 2)
    return pas * (1 - 0.5 * nuclei), np.maximum(haem, 0.9 * nuclei)


def _surroundings(rng, kept, shape, u, v):
    """Interstitium with cells, and tubules where there is room; also a map of nuclei, to draw more into."""
    bend = _noise(rng, shape, 10)
    turn = rng.uniform(0, 6.3)
    strands = 0.7 * _noise(rng, shape, 1.2) + np.sin((np.cos(turn) * u + np.sin(turn) * v) * 32 + 3 * bend)
    gaps = _step(_noise(rng, shape, 3) + 0.4 * bend, 1.3, 1.9) * rng.random()
    pas = (rng.uniform(0.18, 0.4) + 0.11 * strands).clip(0.05) * (1 - 0.9 * gaps)
    haem = np.full(shape, rng.uniform(0.04, 0.12), np.float32)
    nuclei, tubule = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for turn in rng.uniform(0, 6.3) + np.arange(7) * 0.9:
        size, away = rng.uniform(0.2, 0.34), rng.uniform(1.25, 1.5)
        if rng.random() < 0.35:
            continue
        du, dv = u - away * np.cos(turn), v - away * np.sin(turn)
        edge = (np.hypot(du, dv * rng.uniform(0.8, 1.25)) - size) / size + 0.05 * bend
        lumen = _step(-edge, 0.5, 0.62)
        inside = edge < 0
        pas = np.where(inside, (0.34 + 0.05 * strands) * (1 - 0.9 * lumen), pas)
        pas = np.maximum(pas, 0.8 * _ridge(edge, 0.1))
        haem = np.where(inside, 0.16 * (1 - lumen), haem)
        _stamp_nuclei(rng, kept, nuclei, _pick(rng, np.abs(edge + 0.28) < 0.04, 6), 2.7, 1)
        tubule |= inside
    crowd = rng.beta(1.2, 4) * _step(_noise(rng, shape, 14), -0.5, 1.5) + 0.08
    _stamp_nuclei(rng, kept, nuclei, _scatter(rng, crowd * ~tubule), 2.2, 1.6)
    return pas, haem, nuclei


def _section(rng, maps, shape, margin):
    """Cut the maps: slightly shifted, turned, scaled and bent, as the knife leaves serial sections."""
    size, turn = maps[0].shape, rng.normal(0, 0.12)
    step = min(size[0] / shape[0], size[1] / shape[1]) * margin * rng.uniform(0.97, 1.03)
    y, x = np.indices(shape, np.float32)
    y, x = (y - shape[0] / 2) * step, (x - shape[1] / 2) * step
    at_y = size[0] * rng.normal(0.5, 0.02) + np.cos(turn) * y - np.sin(turn) * x + 1.2 * _noise(rng, shape, 16)
    at_x = size[1] * rng.normal(0.5, 0.02) + np.sin(turn) * y + np.cos(turn) * x + 1.2 * _noise(rng, shape, 16)
    return [ndimage.map_coordinates(m, [at_y, at_x], order=1, mode="reflect") for m in maps]


def _light(rng, stain, pas, haem):
    """Stain and scan: maps to 8-bit RGB. `stain` holds 14 standard normal deviates: amounts, optics, colours."""
    look = stain + 0.1 * rng.standard_normal(stain.shape)
    contrast, blur, gamma = np.exp(0.1 * look[2]), np.exp(0.35 * look[3] - 0.6), np.exp(0.08 * look[4])
    magenta = np.multiply(PAS, np.exp(0.24 * look[0] + 0.1 * look[5:8]))
    blue = np.multiply(HAEMATOXYLIN, np.exp(0.2 * look[1] + 0.1 * look[8:11]))
    white = 0.955 + 0.015 * np.tanh(look[11:])
    image = white * np.exp(-contrast * (pas[..., None] * magenta + haem[..., None] * blue))
    if rng.random() < 0.05:
        blur += 0.7  # out of focus
    image = ndimage.gaussian_filter(image, (blur, blur, 0), truncate=3)
    slope_y, slope_x = (np.linspace(-1, 1, n) * rng.normal(0, 0.01) for n in pas.shape)
    grain = np.exp(0.4 * rng.normal() + 0.9) / 255
    noise = rng.normal(0, grain, image.shape) + rng.normal(0, 0.5 * grain, (*pas.shape, 1))
    image = image * (1 + slope_y[:, None, None] + slope_x[:, None]) + noise
    return (255 * image.clip(0, 1) ** gamma).round().astype(np.uint8)
