"""The section of values that were left out: how each arm does at a site that it has not learnt from."""

from glomfeat.results.sites import SAID, site_cells, sites_table

NAME, TITLE, ORDER, TEMPLATE = "sites", "Does it hold elsewhere?", 15, "sections/sites.html"


def fill(content):
    """A row an arm, with its AUROC at each value.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    dict or None
        None where no value was left out.
    """
    if not content.run.left_out:
        return None
    head, *rows = site_cells(sites_table(content.run), content.names)
    return {"head": head, "rows": rows, "said": SAID, "column": content.loaded.identity["scheme"].partition(":")[2]}
