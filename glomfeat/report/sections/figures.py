"""The section with figures of scores and of learning."""

NAME, TITLE, ORDER, TEMPLATE = "figures", "Figures", 20, "charts.html"


def fill(content):
    """Return nothing, because the section only has its figures."""
