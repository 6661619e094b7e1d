"""The section with figures of scores and of learning."""

from glomfeat.results.tables import with_figure

NAME, TITLE, ORDER, TEMPLATE = "figures", "Figures", 20, "sections/figures.html"


def fill(content):
    """Count the arms that are drawn, and those that could be; None if no arm has figures."""
    return {"drawn": len(content.shown), "arms": len(with_figure(content.results))} if content.shown else None
