"""Print tables of text on the terminal."""

from itertools import zip_longest


def print_cells(cells, title, console, caption=None, bold=()):
    """Print a table of text with rich, arms on the left; long cells are wrapped and never cut.

    Parameters
    ----------
    cells : list of list of str
        The heading is first.
    title : str
    console : rich.console.Console
    caption : str, optional
    bold : sequence of bool
        Which rows are bold; none by default.
    """
    from rich.markup import escape
    from rich.table import Table

    head, *rows = cells
    table = Table(title=escape(title), caption=caption, title_justify="left", caption_justify="left")
    for column in head:
        table.add_column(escape(column), justify="left" if column == "arm" else "right", overflow="fold")
    for row, strong in zip_longest(rows, bold):
        table.add_row(*map(escape, row), style="bold" if strong else None)
    console.print(table)
