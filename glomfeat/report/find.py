"""The report's figures and sections: each is a module of its folder, found there."""

import importlib
import pkgutil

from glomfeat.report import figures, sections

OF_FIGURE = ("NAME", "SECTION", "ORDER", "draw")
OF_SECTION = ("NAME", "TITLE", "ORDER", "TEMPLATE", "fill")


def find_sections(package=sections):
    """The sections of the page, in their order.

    A section is a module with ``NAME`` (its place in the page), ``TITLE``, ``ORDER``, ``TEMPLATE`` (in
    ``report/templates``) and ``fill(content)``, which gives the template's values, or None where there is nothing to
    say beside the section's figures. A section without values and figures is left out of the page.

    Parameters
    ----------
    package : module
        Of the folder.

    Returns
    -------
    list of module

    Raises
    ------
    LookupError
        A module lacks a part, or two have one name.

    Examples
    --------
    >>> [section.NAME for section in find_sections()][:3]
    ['results', 'comparisons', 'joined']
    """
    return _find(package, OF_SECTION)


def find_figures(package=figures, known=None):
    """The figures, in their order.

    A figure is a module with ``NAME`` (of its file, and of its place in the page), ``SECTION`` (the name of the section
    that it stands in), ``ORDER`` and ``draw(content)``, which gives a `glomfeat.report.drawing.Picture`, or None where
    there is nothing to draw.

    Parameters
    ----------
    package : module
        Of the folder.
    known : list of module, optional
        The sections; those of the page by default.

    Returns
    -------
    list of module

    Raises
    ------
    LookupError
        A module lacks a part, two have one name, or the section is unknown.

    Examples
    --------
    >>> [figure.NAME for figure in find_figures() if figure.SECTION == "cases"]
    ['agreement']
    """
    there, found = [section.NAME for section in known or find_sections()], _find(package, OF_FIGURE)
    for figure in found:
        if figure.SECTION not in there:
            raise LookupError(
                f"figure {figure.NAME!r} belongs to a section {figure.SECTION!r} that is not there: set SECTION in "
                f"{figure.__name__} to one of {', '.join(there)}"
            )
    return found


def _find(package, parts):
    """The modules of a folder in their order; each has the parts, and a name of its own."""
    stems = [found.name for found in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{stem}") for stem in stems]
    names = {}
    for module in modules:
        lacking = [part for part in parts if not hasattr(module, part)]
        if lacking:
            raise LookupError(f"{module.__name__} lacks {', '.join(lacking)}: it needs {', '.join(parts)}")
        if module.NAME in names:
            raise LookupError(f"{module.__name__} and {names[module.NAME]} are both called {module.NAME!r}: rename one")
        names[module.NAME] = module.__name__
    return sorted(modules, key=lambda module: (module.ORDER, module.NAME))
