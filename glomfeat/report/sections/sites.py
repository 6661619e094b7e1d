"""The section on values that were left out: how each arm does at a site that it has not learnt from."""

from glomfeat.results.sites import said_of, site_cells

NAME, TITLE, ORDER, TEMPLATE = "sites", "Does it hold elsewhere?", 15, "sections/sites.html"


def fill(content):
    """Make a row for each arm, with its AUROC at each value; None if no value was left out."""
    if content.sites is None:
        return None
    head, *rows = site_cells(content.sites, content.names, content.show_names)
    said = said_of(content.sites, content.show_names)
    return {"head": head, "rows": rows, "said": said, "column": content.loaded.identity["scheme"].partition(":")[2]}
