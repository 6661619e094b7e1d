"""The section of figures of scores and of learning."""

NAME, TITLE, ORDER, TEMPLATE = "figures", "Figures", 20, "charts.html"


def fill(content):
    """Nothing beside the figures."""
