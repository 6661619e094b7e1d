"""Find the report's figures and sections: each is a module in its folder."""

import importlib
import pkgutil

from glomfeat.report import figures, sections

OF_FIGURE = ("NAME", "SECTION", "ORDER", "draw")
OF_SECTION = ("NAME", "TITLE", "ORDER", "TEMPLATE", "fill")


def find_sections(package=sections):
    """Find the sections of the page, in their order.

    A section is a module with ``NAME`` (its anchor in the page), ``TITLE``, ``ORDER``, ``TEMPLATE`` (in
    ``report/templates``) and ``fill(content)``, which returns the template's values, or None if there is nothing to
    say besides the section's figures. A section without values and figures is left out of the page.

    Parameters
    ----------
    package : module
        The package whose modules are the sections.

    Returns
    -------
    list of module

    Raises
    ------
    LookupError
        A module lacks a part, or two have the same name.

    Examples
    --------
    >>> [section.NAME for section in find_sections()][:3]
    ['results', 'comparisons', 'joined']
    """
    return _find(package, OF_SECTION)


def find_figures(package=figures):
    """Find the figures, in their order.

    A figure is a module with ``NAME`` (of its file, and of its anchor in the page), ``SECTION`` (the name of the
    section that it belongs to), ``ORDER`` and ``draw(content)``, which returns a `glomfeat.report.drawing.Picture`, or
    None if there is nothing to draw.

    Parameters
    ----------
    package : module
        The package whose modules are the figures.

    Returns
    -------
    list of module

    Raises
    ------
    LookupError
        A module lacks a part, two have the same name, or the section is unknown.

    Examples
    --------
    >>> [figure.NAME for figure in find_figures() if figure.SECTION == "cases"]
    ['agreement']
    """
    there, found = [section.NAME for section in find_sections()], _find(package, OF_FIGURE)
    for figure in found:
        if figure.SECTION not in there:
            raise LookupError(
                f"figure {figure.NAME!r} belongs to a section {figure.SECTION!r} that is not there: set SECTION in "
                f"{figure.__name__} to one of {', '.join(there)}"
            )
    return found


def _find(package, parts):
    """Import the modules of a package in their order, and check that each has the parts and a unique name."""
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
