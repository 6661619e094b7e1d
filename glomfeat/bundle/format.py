"""The folder that a bundle is: which files may lie in it, and how they are checked before any of them is opened.

A bundle may come from a stranger. Nothing in it is a pickle, no file is opened that the list in ``bundle.json`` does
not name with its SHA-256, and a file of a kind that is not known is refused.
"""

import json
import re
import shutil
import stat
import zlib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import glomfeat
from glomfeat.core.atomic import sync, write_text
from glomfeat.core.disk import TO, writing
from glomfeat.core.errors import UserError
from glomfeat.core.locks import alone_in
from glomfeat.data.files import sha256_of
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.images.stain import Stain

FORMAT, VERSION, OF_IMAGES = "glomfeat-bundle", 4, 3  # 4 is that of bundles that read rows of a table
ABOUT, CARD, ARRAYS = "bundle.json", "card.md", "arrays.safetensors"
SIGNED = re.compile(rb'(.*),\n "crc32": "([0-9a-f]{8})"\n}\n', re.DOTALL)  # what bundle.json is since it has a checksum
ABOUT_BYTES = 4_000_000
HEADER_BYTES = 4_000_000
MOST_BYTES = {".json": 64_000_000, ".safetensors": 8_000_000_000, ".skops": 1_000_000_000, ".md": 1_000_000}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
MEMBER, MEMBER_NAME = re.compile(r"member-[0-9]{3}"), "member-{:03d}"  # folders of the members of an ensemble
PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "scikit-image", "pillow", "torch", "torchvision", "timm", "xgboost", "skops"),
)
COPY = "take a fresh copy of the bundle, or write it again with python -m studies.refit"


class BundleError(UserError, ValueError):
    """A folder that is no bundle, a damaged or foreign one, or an arm that no bundle can hold; with the remedy."""


def versions():
    """The packages that scores depend on, and glomfeat itself.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> versions()["glomfeat"] == glomfeat.__version__
    True
    """
    found = {"glomfeat": glomfeat.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def other_versions(then):
    """Packages whose major or minor version is another one now, as a sentence; empty if there is none.

    Examples
    --------
    >>> other_versions({"numpy": "1.2.3"})
    'the bundle was made with numpy 1.2.3, and here is ...'
    """
    now = versions()
    other = [
        f"{name} {text}, but here it is {now.get(name, 'none')}"
        for name, text in sorted(then.items())
        if name in (*PACKAGES, "glomfeat") and now.get(name, "").split(".")[:2] != str(text).split(".")[:2]
    ]
    return f"the bundle was made with {'; '.join(other)}" if other else ""


def read_about(folder):
    """Check everything in a bundle's folder, and read what it says about itself.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    dict
        Of ``bundle.json``; every file that it lists is there with the right SHA-256, and no other. Of an ensemble it
        lists its members' folders likewise, each by its own ``bundle.json``; these are bundles to be read by this
        function again.

    Raises
    ------
    BundleError
        One sentence: what is wrong, and what to do.
    """
    folder = Path(folder).expanduser()
    if not (folder / ABOUT).is_file():
        raise BundleError(f"{folder} is not a bundle: give the folder that holds {ABOUT}, as studies.refit writes it")
    there, folders = _check_entries(folder)
    about = _parse(folder)
    if about.get("format") != FORMAT:
        raise BundleError(f"{folder / ABOUT} is not a bundle's: {COPY}")
    number = about.get("version")
    if type(number) is not int or number < 1:
        raise BundleError(f"{folder} has the format version {number!r}, which was never written: {COPY}")
    if number > VERSION:
        raise BundleError(f"{folder} has format version {number} and this glomfeat reads {VERSION}: update glomfeat")
    listed = about.get("files")
    if not isinstance(listed, dict):
        raise BundleError(f"{folder / ABOUT} lists no files: {COPY}")
    for name in sorted(listed):
        if not _is_plain(name):
            raise BundleError(f"{folder / ABOUT} lists {name!r}, which is not the name of a file of a bundle: {COPY}")
        if name not in there:
            raise BundleError(f"{folder} lacks {name}: {COPY}")
    extra = sorted(there - {*listed, ABOUT})
    if extra:
        raise BundleError(f"{folder} holds {extra[0]!r}, which {ABOUT} does not list: remove it, or {COPY}")
    for name, entry in listed.items():
        _check_file(folder / name, entry)
    _check_members(folder, folders, about)
    return about


def _check_members(folder, there, about):
    """Refuse folders in a bundle that are not the listed members of an ensemble."""
    listed = about.get("members", {})
    if not isinstance(listed, dict) or (about.get("kind") == "ensemble") != bool(listed):
        raise BundleError(f"{folder / ABOUT} lists no members as an ensemble does: {COPY}")
    extra, gone = sorted(there - set(listed)), sorted(set(listed) - there)
    if extra:
        raise BundleError(f"{folder} holds {extra[0]!r}, which is not a plain file: remove it, or {COPY}")
    if gone:
        raise BundleError(f"{folder} lacks its member {gone[0]!r}: {COPY}")
    for name, entry in listed.items():
        path = folder / name / ABOUT
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path.parent} is not a bundle, as a member of an ensemble must be: {COPY}")
        _check_file(path, entry)
        if _parse(path.parent).get("kind") not in ("features", "net"):
            raise BundleError(f"{path.parent} is neither a head nor a network, and a member is one of them: {COPY}")


def _is_plain(name):
    return bool(NAME.fullmatch(name)) and name != ABOUT and Path(name).suffix in MOST_BYTES


def _check_entries(folder):
    """The files in a folder, and the folders that are called as members of an ensemble are.

    None of them leads elsewhere or is of a kind that bundles do not hold.
    """
    there, folders = set(), set()
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise BundleError(f"{folder} holds the link {path.name!r}, and bundles hold none: {COPY}")
        if stat.S_ISDIR(mode) and MEMBER.fullmatch(path.name):
            folders.add(path.name)
            continue
        if not stat.S_ISREG(mode):
            raise BundleError(f"{folder} holds {path.name!r}, which is not a plain file: remove it, or {COPY}")
        if not (_is_plain(path.name) or path.name == ABOUT):
            kinds = ", ".join(MOST_BYTES)
            raise BundleError(f"{folder} holds {path.name!r}, and bundles hold only {kinds}: remove it, or {COPY}")
        there.add(path.name)
    return there, folders


def _parse(folder):
    path = folder / ABOUT
    if path.stat().st_size > ABOUT_BYTES:
        raise BundleError(f"{path} is larger than {ABOUT_BYTES:,} bytes: {COPY}")
    data = path.read_bytes()
    signed = SIGNED.fullmatch(data)
    if signed and zlib.crc32(signed[1]) != int(signed[2], 16):
        raise BundleError(f"{path} has changed since it was written (its checksum differs): {COPY}")
    about = parse_json(data, path)
    about.pop("crc32", None)
    return about


def parse_json(data, path):
    """A JSON object from bytes, or one sentence.

    Raises
    ------
    BundleError
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BundleError(f"{path} cannot be read as JSON: {COPY}") from None
    if not isinstance(found, dict):
        raise BundleError(f"{path} holds no JSON object: {COPY}")
    return found


def _check_file(path, entry):
    size = path.stat().st_size
    if size > MOST_BYTES[path.suffix]:
        raise BundleError(f"{path} is larger than {MOST_BYTES[path.suffix]:,} bytes: {COPY}")
    if not isinstance(entry, dict) or entry.get("bytes") != size or entry.get("sha256") != sha256_of(path):
        raise BundleError(f"{path} has changed since it was written (its SHA-256 differs): {COPY}")
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if not 0 < header <= min(HEADER_BYTES, size - 8):
            raise BundleError(f"{path} claims a header of {header:,} bytes, which no bundle has: {COPY}")


def _entry(path):
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def write_folder(folder, about, write_parts):
    """Write a bundle's folder, so that it appears whole or not at all.

    Parameters
    ----------
    folder : path-like
        Must not exist.
    about : dict
        Plain data without NaN; ``files`` is added, and ``members`` where bundles were written into it.
    write_parts : callable
        Called with the folder to write everything but ``bundle.json`` into.

    Raises
    ------
    BundleError
        The folder is there already, or a file is larger than what would be read.
    """
    folder = Path(folder).expanduser()
    with alone_in(folder, "--to", beside=True):
        if folder.exists():
            raise BundleError(f"{folder} already exists: delete it, or choose another folder with --to")
        _write_folder(folder, about, write_parts)


def _write_folder(folder, about, write_parts):
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with writing(folder.parent, TO, part):
            part.mkdir(parents=True)
            write_parts(part)
            _finish(part, about)
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _finish(part, about):
    """Write `bundle.json`, and wait until all is on the disk."""
    files = [path for path in sorted(part.iterdir()) if path.is_file()]
    listed = {path.name: _entry(path) for path in files}
    members = {path.parent.name: _entry(path) for path in sorted(part.glob(f"*/{ABOUT}"))}
    for path in files:
        path.chmod(0o644)  # safetensors writes for the owner alone
        size, most = path.stat().st_size, MOST_BYTES[path.suffix]
        if size > most:
            raise BundleError(f"{path.name} takes {size:,} bytes, and {most:,} is the most: choose a smaller reducer")
        sync(path)
    inside = {"members": members} if members else {}
    text = json.dumps({**about, **inside, "files": listed}, indent=1, ensure_ascii=False, allow_nan=False)
    text = text.removesuffix("\n}")
    if len(text.encode()) > ABOUT_BYTES - 100:
        raise BundleError(f"{ABOUT} would take more than {ABOUT_BYTES:,} bytes: choose fewer columns with --columns")
    write_text(part / ABOUT, f'{text},\n "crc32": "{zlib.crc32(text.encode()):08x}"\n}}\n', option=TO)


def preprocess_of(about):
    """How a bundle reads images; one that says nothing of colour profiles learned from colours as they are in the file.

    Examples
    --------
    >>> preprocess_of({"preprocess": {"size": 8}}).icc, preprocess_of({"preprocess": {"size": 8, "icc": "srgb"}}).icc
    ('keep', 'srgb')
    """
    settings = {"icc": "keep"} | about["preprocess"]
    stain = settings.pop("stain", None)
    return Preprocess(**settings, stain=Stain(stain["method"], stain["target"]) if stain else None)


def preprocess_to(preprocess):
    """What a bundle says of how it reads images, with the numbers of its stain reference if it has one.

    Examples
    --------
    >>> preprocess_to(Preprocess(8)) == {"size": 8, "padding": "white", "filter": "lanczos", "icc": "srgb"}
    True
    """
    found = asdict(preprocess)
    return found if preprocess.stain else {name: value for name, value in found.items() if name != "stain"}
