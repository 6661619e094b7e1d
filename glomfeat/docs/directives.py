"""What the site adds to the pages: the README as its home, options of the commands, figures that the gallery draws."""

import contextlib
import importlib
import re
import tempfile
import typing
from dataclasses import fields
from html import escape
from pathlib import Path
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive

HERE = Path(__file__).parent
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GALLERY = "gallery"


def home(app, page, source):
    """Put the README in front of the home page, with links as they are from here."""
    if page == "index":
        readme = HERE.parents[1] / "README.md"
        app.env.note_dependency(str(readme))
        text = readme.read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#)", "](../../", text).replace("](../../glomfeat/docs/", "](")
        source[0] = f"{text}\n{source[0]}"


class ParsedError(Exception):
    """Stands for the rest of a command."""


def options_of(study):
    """The class of a command's options, and how the command is called.

    Parameters
    ----------
    study : str
        The name of its module.

    Returns
    -------
    tuple of type and str
    """
    module = importlib.import_module(f"studies.{study}")

    def stop(cls, arguments, program):
        raise ParsedError(cls, program)

    with mock.patch.object(module, "parse_options", stop):
        try:
            module.main([])
        except ParsedError as found:
            return found.args
    raise ValueError(f"studies.{study} reads no options")


def groups_of(cls):
    """Titles, sentences and options of a command, as its ``--help`` has them.

    Parameters
    ----------
    cls : type

    Returns
    -------
    list of tuple of (str, str, list of tuple of (str, str))
        Of each group title, sentence and options: how each is written, and what it says.
    """
    from studies._help import parser_of

    def read(made):
        hints, own, inner = typing.get_type_hints(made, include_extras=True), [], []
        for one in fields(made):
            kind, *markers = typing.get_args(hints[one.name])
            told = next(marker for marker in markers if hasattr(marker, "help_behavior_hint"))
            if one.name.endswith("_group"):
                inner.append((told.name, kind.__doc__, read(kind)[0]))
                continue
            name = (told.name or one.name).rstrip("_").replace("_", "-")
            is_place = any("positional" in repr(marker).lower() for marker in markers)
            written = told.metavar if is_place else f"--{name} {told.metavar or ''}".strip()
            own.append((written, f"{told.help or ''} {_default(told, one)}".strip()))
        return own, inner

    own, inner = read(parser_of(cls, {}))
    return [("", "", own), *inner]


def _default(told, one):
    said = told.help_behavior_hint
    if not callable(said):
        return said or ""
    value = one.default if isinstance(one.default, tuple) else (one.default,)
    return said(" ".join(map(str, value)))


class Options(Directive):
    """The options of a command, in its groups: ``:::{options} compare``."""

    required_arguments = 1

    def run(self):
        """Make a list of definitions for each group."""
        cls, _ = options_of(self.arguments[0])
        found = []
        for title, sentence, options in groups_of(cls):
            if title:
                found.append(nodes.rubric("", f"{title} options".capitalize()))
                found.append(nodes.paragraph("", sentence))
            listed = nodes.definition_list()
            for written, said in options:
                name = written.split()[0].strip("-[]").lower()
                term = nodes.term("", "", nodes.literal("", written), ids=[f"{self.arguments[0]}-{name}"])
                listed += nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", said)))
            found.append(listed)
        return found


class Drawn(Directive):
    """A figure that the blocks of the gallery saved: ``:::{drawn} roc.svg``, with what one would see as its content."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Show the file that lies beside the built pages."""
        alt = " ".join(self.content)
        picture = f'<img class="drawn" src="_images/{self.arguments[0]}" alt="{escape(alt)}">'
        return [nodes.raw("", picture, format="html")]


def draw(app):
    """Run the blocks of the gallery and keep the figures that they saved.

    Raises
    ------
    ValueError
        A figure that the page shows was not saved.
    """
    if app.builder.format != "html" or not app.config.draw_gallery:
        return
    text = (HERE / f"{GALLERY}.md").read_text(encoding="utf-8")
    images = Path(app.outdir) / "_images"
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        names = {"__name__": "gallery"}
        for block in BLOCKS.findall(text):
            exec(compile(block, f"{GALLERY}.md", "exec"), names)
        for shown in re.findall(r"^:::\{drawn\} (\S+)", text, re.MULTILINE):
            found = next(Path(place).rglob(Path(shown).name), None)
            if found is None:
                raise ValueError(f"{GALLERY}.md shows {shown}, and none of its blocks saves it")
            (images / shown).write_bytes(found.read_bytes())


def setup(app):
    """Tell Sphinx of all this."""
    app.add_config_value("draw_gallery", True, "html", bool)  # -D draw_gallery=0 is for a quick look
    app.add_directive("options", Options)
    app.add_directive("drawn", Drawn)
    app.connect("source-read", home)
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
