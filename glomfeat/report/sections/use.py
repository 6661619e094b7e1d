"""The section on the use of scores and calls: probabilities, decisions, predictive values, abstaining."""

from glomfeat.core.words import joined
from glomfeat.metrics.many import ALPHA, holm
from glomfeat.metrics.table import limits_of
from glomfeat.results.predictive_values import ASKED, OF_DATA
from glomfeat.results.words import between, figure, is_known, plain_class

NAME, TITLE, ORDER, TEMPLATE = "use", "Probabilities and use", 22, "sections/use.html"
FIFTH = 0.2
LEFT_OUT = (
    "This section is left out: images of one patient may be on both sides of this split, so it cannot tell what scores "
    "and calls are good for in a new patient. calibration.csv, decision_curve.csv, predictive_values.csv and "
    "abstention.csv hold the figures."
)


def fill(content):
    """Write sentences on the best arm, and collect tables of the shown ones; None if no arm has a figure."""
    if not content.shown:
        return None
    if not content.run.manifest.is_split_by_case:
        return {"left_out": LEFT_OUT}
    tables, names, best = content.tables, content.names, content.shown[0]
    several = len(content.run.manifest.classes) > 2
    of = {name: _of(getattr(tables, name), content.shown) for name in ("calibration", "predictive_values")}
    at = "largest score" if several else "threshold"
    values = of["predictive_values"][of["predictive_values"]["at"] == at]
    said = [
        calibration_said(of["calibration"], best),
        decisions_said(tables.decision_curve, best, doubt_of_scores(content, [best])),
        values_said(values[values["arm"] == best]),
        abstention_said(tables.abstention, best),
    ]
    return {
        "left_out": "",
        "best": names[best],
        "said": [sentence for sentence in said if sentence],
        "names": names,
        "plain": plain_class,
        "several": several,
        "lines": of["calibration"].to_dict("records"),
        "values": values.to_dict("records"),
        "known": is_known,
    }


def _of(table, arms):
    """Select the rows of some arms, in the order of these arms."""
    mine = table[table["arm"].isin(arms)]
    return mine.sort_values("arm", key=lambda column: column.map(arms.index), kind="stable")


def calibration_said(lines, arm):
    """Say whether scores of an arm can be read as probabilities.

    Parameters
    ----------
    lines : pandas.DataFrame
        Rows of `glomfeat.results.calibration.calibration_table`.
    arm : str

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> line = {"arm": "a", "class": "1", "slope": 0.6, "slope_lo": 0.5, "slope_hi": 0.7, "mean_score": 0.3}
    >>> line |= {"share": 0.2, "gap_lo": 0.05, "gap_hi": 0.15}
    >>> calibration_said(pd.DataFrame([line]), "a")
    'Its scores for class 1 are too high on average (0.300, true 0.200) and too extreme (calibration slope 0.60, 0.50 to
    0.70).'
    """
    found = []
    for row in lines[lines["arm"] == arm].to_dict("records"):
        if not is_known(row["slope_lo"]):
            continue
        ends = between(row["slope_lo"], row["slope_hi"], 2)
        slope = f"(calibration slope {figure(row['slope'], 2)}, {ends})"
        mean = f"on average ({figure(row['mean_score'])}, true {figure(row['share'])})"
        high = "high" if row["gap_lo"] > 0 else "low" if row["gap_hi"] < 0 else ""
        wide = "extreme" if row["slope_hi"] < 1 else "timid" if row["slope_lo"] > 1 else ""
        known = [f"too {high} {mean}"] * bool(high) + [f"too {wide} {slope}"] * bool(wide)
        unknown = [f"too high or too low {mean}"] * (not high) + [f"too extreme or too timid {slope}"] * (not wide)
        name = plain_class(row["class"])
        said = [f"Its scores for {name} are {' and '.join(known)}."] if known else []
        whose = "they" if known else f"its scores for {name}"
        said += [f"These cases do not show that {whose} are {', or '.join(unknown)}."] if unknown else []
        if row["slope"] <= 0:
            rise = "do not rise" if row["slope_hi"] <= 0 else "are not shown to rise"
            said = [f"Its scores for {name} {rise} with the share of {name} {slope}."]
        found += said
    return " ".join(found)


def doubt_of_scores(content, arms):
    """Say which arms have scores that differ from probabilities by more than chance, and what to do about it.

    Parameters
    ----------
    content : glomfeat.report.content.Content
    arms : list of str

    Returns
    -------
    str
        A sentence after a blank; empty if slope and mean of the scores of all these arms may be those of probabilities.
    """
    lines = content.tables.calibration
    # the intercept tells what slope and gap tell, but is vague where few scores are near 0.5
    p = lines.groupby("arm")[["slope_p", "gap_p"]].apply(lambda of: of.stack().dropna().tolist())
    off = {arm for arm, of in p.items() if min(holm(of), default=1) < ALPHA}
    whose = [content.names[arm] for arm in arms if arm in off]
    if not whose:
        return ""
    asked = content.loaded.identity.get("calibration", "none")
    if asked != "none":
        return f" Scores of {joined(whose)} are not calibrated, despite --calibration {asked}: do not choose by this."
    return (
        f" Scores of {joined(whose)} are not calibrated: repeat the study with --calibration platt before you choose "
        "by this."
    )


def useful(table, arm, label):
    """Say in which range of probabilities acting on an arm's scores does more good than acting on all or none.

    Parameters
    ----------
    table : pandas.DataFrame
        From `glomfeat.results.decision_curve.decision_curve_table`.
    arm, label : str

    Returns
    -------
    str
        Words on the longest range of thresholds at which even the lower limit of the gain is above 0.
    """
    mine = table[(table["arm"] == arm) & (table["class"] == label)]
    thresholds, stretch, longest = mine["threshold"].tolist(), [], []
    for threshold, low in zip(thresholds, mine["gain_lo"], strict=True):
        stretch = [*stretch, threshold] if low > 0 else []
        longest = max(longest, stretch, key=len)
    if not longest:
        return "nowhere surely better than acting on all images or on none"
    ends = f"from a probability of {longest[0]:.2f} to {longest[-1]:.2f}"
    where = ends if len(longest) > 1 else f"at a probability of {longest[0]:.2f} only"
    return f"better than acting on all images or on none {where}"


def decisions_said(table, arm, doubt=""):
    """Say in a sentence where acting on the scores of an arm does good, and what is doubted."""
    labels = dict.fromkeys(table[table["arm"] == arm]["class"])
    found = (f"for {plain_class(label)} it is {useful(table, arm, label)}" for label in labels)
    said = "; ".join(found)
    if not said:
        return ""
    return f"Used for decisions, {said} (by the 95 % limits of the gain at each probability by itself).{doubt}"


def values_said(rows):
    """Say what a call means, at the prevalences that were asked for, or at that of the data."""
    asked = rows[rows["of"] == ASKED]
    known = (asked if len(asked) else rows[rows["of"] == OF_DATA]).dropna(subset=["ppv", "npv"])
    return " ".join(
        f"If {100 * row['prevalence']:.3g} % of images are {plain_class(row['class'])}, {_hundred(row, 'ppv')} of 100 "
        f"images that are called so really are, and {_hundred(row, 'npv')} of 100 others really are not."
        for row in known.to_dict("records")
    )


def _hundred(row, name):
    value, low, high = (_of_hundred(row[column]) for column in (name, *limits_of(name)))
    return value if not low or low == high else f"{value} ({low} to {high})"


def _of_hundred(share):
    """How many of 100 a share is; none or all only if it is 0 or 1."""
    least = 100 * min(share, 1 - share)
    if 0 < least < 0.1:
        return "under 0.1" if share < 0.5 else "over 99.9"
    return figure(100 * share, 1 if 0 < least < 1 else 0)


def _ends(row, name, digits):
    """Write the limits of a share in brackets, in per cent; empty if there are none."""
    low, high = (row[end] for end in limits_of(name))
    return f" ({between(100 * low, 100 * high, digits)})" if is_known(low) and low < high else ""


def abstention_said(table, arm):
    """Say in a sentence how many wrong calls are left when a fifth of the images is handed over."""
    mine = table[(table["arm"] == arm) & (table["by"] == "image")].set_index("handed_over")
    whole, rest = mine.loc[0.0], mine.loc[FIFTH]
    return (
        f"If a pathologist looks at the fifth of images that it is least sure of, {100 * rest['risk']:.1f} %"
        f"{_ends(rest, 'risk', 1)} of calls on the rest are wrong, instead of {100 * whole['risk']:.1f} % of all."
    )
