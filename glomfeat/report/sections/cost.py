"""The section of what arms cost."""

NAME, TITLE, ORDER, TEMPLATE = "cost", "Cost", 60, "charts.html"


def fill(content):
    """Nothing beside the figure."""
