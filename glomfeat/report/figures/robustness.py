"""The figure on robustness: small multiples of each arm, over the strengths of each change of the images."""

import numpy as np

from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.report.drawing import MUTED, PALETTE, Picture, fold, make_figure
from glomfeat.report.sections.robustness import CALLED, SAME, sentence
from glomfeat.results.robustness import arms_to_show, worst_rows

NAME, SECTION, ORDER = "robustness", "robustness", 10
SHARED = {"squeeze": False, "sharey": True}


def draw(content):
    """Draw AUROC against the strength of each change, with one row of panels for each arm.

    None if images were not changed.
    """
    table, names = content.robustness, content.names
    if table is None:
        return None
    order = content.results["arm"].tolist()
    arms = arms_to_show(table, order, len(order)) if content.chosen else arms_to_show(table, order)
    kinds = [name for name in table["perturbation"].drop_duplicates() if name in PERTURBATIONS]
    if not arms or not kinds:
        return None
    known = table[table["arm"].isin(arms)].dropna(subset="auroc")
    limits = content.results.set_index("arm")[["auroc", "auroc_lo", "auroc_hi"]]
    floor = min(0.5, known["auroc"].min() - 0.02)

    def make(axes):
        for line, arm in enumerate(arms):
            for place, kind in enumerate(kinds):
                axis = axes[line, place]
                for other in arms:
                    if other != arm:
                        axis.plot(*_curve(known, other, kind)[:2], color=MUTED, alpha=0.35, linewidth=1)
                _draw_arm(axis, known, arm, kind, limits.loc[arm])
                axis.set(ylim=(floor, 1.01), xlim=(-0.3, 5.3))
                axis.set_title(CALLED[kind])
                axis.tick_params(labelleft=True)
                _label(axis, kind)
            axes[line, 0].set_ylabel(f"{fold(names.get(arm, arm))}\nAUROC")

    rows = worst_rows(table, arms, kinds)
    return Picture(
        NAME,
        "What each arm keeps where images are changed",
        "AUROC on the tested images, changed as the axis says, with 95 % limits (band), by models that were fitted to "
        "images as they are. The dashed line is the AUROC of unchanged images, the hollow mark the place where nothing "
        "is changed; grey lines are the other arms.",
        " ".join(sentence(kind, rows, names) for kind in kinds),
        make_figure(1.6 + 2.5 * len(kinds), 0.4 + 2.2 * len(arms), make, len(arms), len(kinds), **SHARED),
    )


def _places(kind):
    """Find the positions of the strengths and of the unchanged images on the axis."""
    before = PERTURBATIONS[kind].before
    return [place if place < before else place + 1 for place in range(5)], before


def _curve(known, arm, kind):
    """Collect the points of an arm's curve, its rows, and the AUROC of unchanged images, which are among the points."""
    rows = known[(known["arm"] == arm) & (known["perturbation"] == kind)]
    rows = rows.set_index("strength").reindex(list(PERTURBATIONS[kind].strengths))
    places, before = _places(kind)
    unchanged = (rows["auroc"] - rows["auroc_change"]).mean()
    values = rows["auroc"].tolist()
    values.insert(before, unchanged)
    return range(6), values, places, rows, unchanged


def _draw_arm(axis, known, arm, kind, limits):
    x, values, places, rows, unchanged = _curve(known, arm, kind)
    before = PERTURBATIONS[kind].before
    if abs(limits["auroc"] - unchanged) > SAME:  # of images whose stains were normalised at another size
        limits = limits * np.nan
    low, high = (np.insert(rows[end].to_numpy(), before, limits[end]) for end in ("auroc_lo", "auroc_hi"))
    axis.fill_between(x, low, high, color=PALETTE[0], alpha=0.15, linewidth=0)
    axis.axhline(unchanged, color=PALETTE[0], linestyle="--", linewidth=0.9)
    axis.plot(x, values, color=PALETTE[0])
    axis.plot(places, rows["auroc"], "o", color=PALETTE[0], markersize=4)
    axis.plot([before], [unchanged], "o", color=PALETTE[0], markerfacecolor="none", markersize=6)


def _label(axis, kind):
    perturbation, (places, before) = PERTURBATIONS[kind], _places(kind)
    texts = [f"{strength:g}" for strength in perturbation.strengths]
    neutral = "none" if perturbation.neutral is None else f"{perturbation.neutral:g}"
    axis.set_xticks([*places, before], [*texts, neutral])
    axis.grid(axis="x", visible=False)
    axis.set_xlabel(perturbation.axis)
