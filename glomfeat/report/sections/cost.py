"""The section on what arms cost."""

NAME, TITLE, ORDER, TEMPLATE = "cost", "Cost", 60, "charts.html"


def fill(content):
    """Return nothing, because the section only has its figure."""
