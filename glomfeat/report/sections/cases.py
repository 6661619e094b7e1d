"""Agreement per case, as part of the page."""

from html import escape

from glomfeat.results.words import between, count, figure


def cases_html(content, chart):
    """How far percentages of cases are off: the figure, and a row an arm.

    Parameters
    ----------
    content : glomfeat.report.page.Content
    chart : str
        HTML of the figure.

    Returns
    -------
    str
        HTML; empty where every image is a case of its own, or nothing is done.
    """
    if not content.loaded.run.manifest.by_case or content.agreement.empty:
        return ""
    heads = (
        "arm",
        "cases",
        "bias",
        "mean abs. error",
        "RMSE",
        "95 % limits of agreement",
        "ICC",
        "worst tenth: mean abs. error",
    )
    order = {arm: k for k, arm in enumerate(content.results["arm"])}
    table = content.agreement.sort_values("arm", key=lambda arms: arms.map(order))
    rows = "".join(f"<tr>{_agreement_row(row, content.names)}</tr>" for row in table.to_dict("records"))
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    reference, worst = table["reference"].iloc[0], int(table["worst_cases"].max())
    note = (
        f"The worst tenth is the same {count(worst, 'case')} for every arm: those in which "
        f"{content.names.get(reference, reference)} is farthest off, so that arm looks worst there by construction."
        if isinstance(reference, str)
        else ""
    )
    return (
        "<p>What a pathologist reads off a biopsy is a percentage. For each case, the share of images that an arm "
        "calls positive at its threshold is set beside the true share; every case counts once. Errors are in "
        f"percentage points, with 95 % limits over cases.</p>{chart}"
        f'<div class="scroll" role="region" aria-label="Agreement per case, scrolls sideways" tabindex="0">'
        f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="soft">{escape(note)}</p>'
    )


def _agreement_row(row, names):
    def with_limits(name, digits=1):
        limits = between(row[f"{name}_lo"], row[f"{name}_hi"], digits)
        return f'{figure(row[name], digits)} <span class="limits">{limits}</span>'

    cells = (
        escape(names[row["arm"]]),
        f"{row['n_cases']:,}",
        with_limits("bias"),
        with_limits("mae"),
        with_limits("rmse"),
        between(row["loa_lo"], row["loa_hi"], 1),
        with_limits("icc", 2),
        figure(row["worst_mae"], 1),
    )
    return "".join(f"<td>{cell}</td>" for cell in cells)
