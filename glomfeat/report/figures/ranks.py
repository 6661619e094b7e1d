"""The figure of ranks over folds, and how far apart they must be (Demsar 2006)."""

import numpy as np
from scipy.stats import rankdata, studentized_range

from glomfeat.report.drawing import INK, MUTED, PALETTE, Picture, draw
from glomfeat.results.tables import ALPHA
from glomfeat.results.words import count

RANKED = 20


def average_ranks(values):
    """Mean rank of each arm, 1 being the best; ties share their ranks.

    Parameters
    ----------
    values : array of float, shape (n, arms)
        A row a fold; larger is better.

    Returns
    -------
    ndarray of float, shape (arms,)

    Examples
    --------
    >>> average_ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7]]).tolist()
    [1.25, 1.75, 3.0]
    """
    return rankdata(-np.asarray(values, float), axis=1).mean(axis=0)


def critical_difference(arms, n, alpha=ALPHA):
    """By how much average ranks must differ by Nemenyi's test (Demsar 2006, J Mach Learn Res 7:1-30, section 3.2.2).

    Parameters
    ----------
    arms : int
        Compared, two or more.
    n : int
        Rows that were ranked.
    alpha : float

    Returns
    -------
    float

    Examples
    --------
    Demsar's example of four classifiers on 14 data sets:

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = studentized_range.ppf(1 - alpha, arms, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(arms * (arms + 1) / (6 * n)))


def cliques(ranks, difference):
    """The largest runs of arms whose ranks lie within the critical difference.

    Parameters
    ----------
    ranks : array of float, ascending
    difference : float

    Returns
    -------
    list of (int, int)
        First and last position of each run of two arms or more.

    Examples
    --------
    >>> cliques([1.0, 1.5, 2.2, 4.0], 1.3)
    [(0, 2)]
    """
    found, furthest = [], -1
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="right")) - 1
        if last > first and last > furthest:
            found.append((first, last))
            furthest = last
    return found


def critical(run, trials, results, names):
    """Critical-difference diagram over folds, of arms all of whose trials are done.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    trials : pandas.DataFrame
        Of `glomfeat.results.tables.trials_table`.
    results : pandas.DataFrame
    names : dict of str to str

    Returns
    -------
    Picture or None
        None of fewer than two arms or folds.
    """
    arms = results.loc[results["status"] == "done", "arm"].head(RANKED).tolist()
    table = trials[trials["arm"].isin(arms)].pivot_table(index=["repeat", "fold"], columns="arm", values="auroc")
    if len(arms) < 2 or len(table) < 2 or table.isna().any(axis=None):
        return None
    ranks = average_ranks(table[arms].to_numpy())
    order = np.argsort(ranks, kind="stable")
    arms, ranks = [arms[k] for k in order], ranks[order]
    difference = critical_difference(len(arms), len(table))
    bars = cliques(ranks, difference)
    half = (len(arms) + 1) // 2
    height = 1.5 + 0.3 * half + 0.16 * len(bars)

    def make(axis):
        axis.set_axis_off()
        top, k = 0.0, len(arms)
        axis.plot([1, k], [top, top], color=INK, linewidth=1.2)
        for tick in range(1, k + 1):
            axis.plot([tick, tick], [top, top + 0.14], color=INK, linewidth=1)
            axis.text(tick, top + 0.2, str(tick), ha="center", va="bottom", fontsize=8)
        width = min(difference, k - 1)
        axis.plot([1, 1 + width], [top + 0.95] * 2, color=INK, linewidth=2)
        axis.text(
            1 + width / 2, top + 1.02, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=8
        )
        for step, (first, last) in enumerate(bars):
            depth = top - 0.2 - 0.2 * step
            axis.plot([ranks[first] - 0.05, ranks[last] + 0.05], [depth] * 2, color=PALETTE[0], linewidth=4)
        start = top - 0.35 - 0.2 * len(bars)
        span = max(k - 1, 1)
        for place, (arm, rank) in enumerate(zip(arms, ranks, strict=True)):
            left = place < half
            line = place if left else len(arms) - 1 - place
            depth = start - 0.36 * (line + 0.5)
            edge = 1 - 0.08 * span if left else k + 0.08 * span
            axis.plot([rank, rank, edge], [top, depth, depth], color=MUTED, linewidth=0.9)
            text = f"{names[arm]}  {rank:.1f}" if left else f"{rank:.1f}  {names[arm]}"
            axis.text(edge, depth, text, ha="right" if left else "left", va="center", fontsize=8)
        axis.set(ylim=(start - 0.36 * half - 0.3, top + 1.4), xlim=(1 - 0.75 * span, k + 0.75 * span))

    return Picture(
        "critical-difference",
        "Ranks over folds",
        f"Arms in order of their average rank over {count(len(table), 'fold')} (1 is best). Arms under one thick bar "
        "are not told apart by Nemenyi's test at 5 % (Demšar 2006). Folds share training cases, so the test is only a "
        "rough guide: the intervals and ties of the table, which count cases, are the evidence.",
        f"Critical-difference diagram; critical difference {difference:.2f}. "
        + "; ".join(f"{names[arm]} {rank:.1f}" for arm, rank in zip(arms, ranks, strict=True))
        + ".",
        draw(9.2, height, make),
    )
