"""What is read of the layouts that people bring: ``layouts.txt`` beside this file has each with what is read of it.

``python tests/data/test_layouts.py`` writes what is read now behind ``=>``, for a look at the difference.
"""

import difflib
import io
import re
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from glomfeat.core.errors import UserError
from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import inspect_manifest
from glomfeat.data.sources import expand_braces
from glomfeat.data.tables.columns import Asked

TABLE = Path(__file__).with_name("layouts.txt")
VARIABLE = re.compile(r"\{(\w+)=([^{}]*)\}")
WORDS = 25  # of a line that are compared
AMONG_FACTS, ELSEWHERE = (
    re.compile("^folders: |gives the classes$"),
    re.compile("(images per case|positive class|cases): "),
)


@cache
def layouts():
    """The layouts by name, each with its lines and what should be read."""
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("* "):
            assert line[2:] not in found, f"two layouts are called {line[2:]!r}"
            lines, read = found[line[2:]] = [], []
        elif line.startswith("  => "):
            read.append(line[5:])
        elif line and not line.startswith("#"):
            lines.append(line[2:])
    return found


def expanded(pattern):
    """All texts of a pattern in braces, in which ``{p=1..3}`` gives later ``{p}`` the same value."""
    if not (found := VARIABLE.search(pattern)):
        return expand_braces(pattern)
    values = expand_braces(f"{{{found[2]}}}")
    patterns = [pattern.replace(found[0], value, 1).replace(f"{{{found[1]}}}", value) for value in values]
    return [text for one in patterns for text in expanded(one)]


def made(root, lines):
    """Write images, archives and tables, and return the options of a layout."""
    packed, tables, options = {}, {}, {}
    for line in lines:
        table, colon, rows = line.partition(": ")
        if line.startswith("-- "):
            options |= (part.split("=", 1) for part in line[3:].split(" -- "))
        elif colon:
            tables[table] = [row for one in rows.split(" | ") for row in expanded(one)]
        else:
            for name in expanded(line):
                archive, _, member = name.rpartition(".zip/" if ".zip/" in name else ".tar/")
                if archive:
                    packed.setdefault(archive + name[len(archive) :][:4], []).append(member)
                else:
                    write(root / name, content(name))
    for archive, members in packed.items():
        write(root / archive, zipped(archive, members))
    for table, rows in tables.items():
        write(root / table, "".join(f"{row}\n" for row in rows).encode())
    return options


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def content(name):
    """The bytes of a file: an image of its own, or what stands behind ``=``, as a class of a WebDataset."""
    if name.endswith((".png", ".jpg")):
        return encode_png(np.zeros((1, 1, 3), np.uint8)) + name.encode()
    return name.partition("=")[2].encode()


def zipped(archive, members):
    file = io.BytesIO()
    inside = {name.partition("=")[0]: content(f"{archive}/{name}") for name in members}
    if archive.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as packed:
            for name, data in inside.items():
                packed.writestr(name, data)
    else:
        with tarfile.open(fileobj=file, mode="w") as packed:
            for name, data in inside.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return file.getvalue()


def read(root, lines):
    """What is read of a layout, a line each."""
    options = made(root, lines)
    asked = Asked(**{key: options.pop(key) for key in ("name", "label") if key in options})
    labels = root / options.pop("labels") if "labels" in options else None
    data = root / options.pop("data", "")
    try:
        found = inspect_manifest(data, labels, asked=asked, show_names=True, **options)
    except UserError as error:
        return [begun(f"error: {str(error).removeprefix(f'{data}: ')}", root)]
    manifest, table = found.manifest, found.manifest.table
    counts = np.bincount(table["label"].dropna().astype(int), minlength=len(manifest.classes))
    how = manifest.said[1].removeprefix("cases: ").partition(",")[0]
    facts = [", ".join(f"{count} {name}" for count, name in zip(counts, manifest.classes, strict=True))]
    facts.append(f"{span(table['case'], 'cases')}, {how}")
    if manifest.by_case and not table["slide"].equals(table["case"]):
        facts.append(span(table["slide"], "slides"))
    facts += [line.removesuffix("; --layout corrects this") for line in manifest.said if AMONG_FACTS.search(line)]
    notes = [line for line in manifest.said[1:] if not (AMONG_FACTS.search(line) or ELSEWHERE.match(line))]
    notes += [": ".join([f"problem of {len(rows)}: {what}", *rows[:1]]) for what, rows in found.problems]
    return ["; ".join(facts), *(begun(line, root) for line in notes)]


def span(values, what):
    """How many different values there are, the first and the last of them."""
    ordered = sorted(values.dropna().unique())
    return f"{len(ordered)} {what}" + (f" ({ordered[0]} to {ordered[-1]})" if len(ordered) > 1 else "")


def begun(line, root):
    """The first words of a line."""
    words = line.replace(f"{root}/", "").replace(str(root), "DATA").split()
    return " ".join(words[:WORDS]) + (" ..." if len(words) > WORDS else "")


@pytest.mark.parametrize("name", layouts())
def test_what_is_read(name, tmp_path):
    lines, expected = layouts()[name]
    found = read(tmp_path, lines)
    if found != expected:
        pytest.fail("\n".join([f"of {name!r} is read (-: expected, +: found)", *difflib.ndiff(expected, found)]), False)


def rewrite():
    """Write what is read now into the table."""
    written, name = [], ""
    for line in [*TABLE.read_text(encoding="utf-8").splitlines(), ""]:
        if name and not line.startswith("  "):
            with tempfile.TemporaryDirectory() as root:
                written += [f"  => {one}" for one in read(Path(root), layouts()[name][0])]
            name = ""
        name = line[2:] if line.startswith("* ") else name
        written += [] if line.startswith("  => ") else [line]
    TABLE.write_text("\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
