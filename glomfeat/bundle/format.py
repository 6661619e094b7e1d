"""The folder that makes up a bundle: which files it may hold, and how they are checked before any is opened.

A bundle may come from a stranger. Nothing in it is a pickle, no file is opened that ``bundle.json`` does not list with
its SHA-256, and files of unknown kinds are refused.
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
from glomfeat.data.files import is_of_system, sha256_of
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.images.stain import Stain

FORMAT, VERSION, OF_IMAGES = "glomfeat-bundle", 4, 3  # 4 is for bundles that read rows of a table
ABOUT, CARD, ARRAYS = "bundle.json", "card.md", "arrays.safetensors"
SIGNED = re.compile(rb'(.*),\n "crc32": "([0-9a-f]{8})"\n}\n', re.DOTALL)  # bundle.json since it has a checksum
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
    """A folder is no bundle, or a damaged or foreign one, or no bundle can hold an arm; the message says what to do."""


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
    """Name packages whose major or minor version has changed, in a sentence; empty if there are none.

    Examples
    --------
    >>> other_versions({"numpy": "1.2.3"})
    'the bundle was made with numpy 1.2.3, but here it is ...'
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
        The content of ``bundle.json``. Every file that it lists is there with the right SHA-256, and no other file is.
        For an ensemble it also lists its members' folders, each by its own ``bundle.json``; these are bundles to be
        read by this function in turn.

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
    """Refuse sub-folders of a bundle that are not the listed members of an ensemble."""
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
    """The files in a folder, and its sub-folders that are named like members of an ensemble.

    None of them may lead elsewhere or be of a kind that bundles do not hold. Files that systems write are passed over.
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
        if is_of_system(path.name):
            continue
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
    """Parse a JSON object from bytes, or say in one sentence why not.

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
    """Write a bundle's folder so that it appears complete or not at all.

    Parameters
    ----------
    folder : path-like
        Must not exist.
    about : dict
        Plain data without NaN; ``files`` is added, and ``members`` if bundles were written into the folder.
    write_parts : callable
        Called with the folder, to write everything but ``bundle.json`` into it.

    Raises
    ------
    BundleError
        The folder exists already, or a file is too large to be read again.
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
    """Write ``bundle.json``, and wait until everything is on the disk."""
    files = [path for path in sorted(part.iterdir()) if path.is_file()]
    listed = {path.name: _entry(path) for path in files}
    members = {path.parent.name: _entry(path) for path in sorted(part.glob(f"*/{ABOUT}"))}
    for path in files:
        path.chmod(0o644)  # safetensors makes files that only the owner can read
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
    """How a bundle reads images; a bundle that does not mention colour profiles learnt from unconverted colours.

    Examples
    --------
    >>> preprocess_of({"preprocess": {"size": 8}}).icc, preprocess_of({"preprocess": {"size": 8, "icc": "srgb"}}).icc
    ('keep', 'srgb')
    """
    settings = {"icc": "keep"} | about["preprocess"]
    stain = settings.pop("stain", None)
    return Preprocess(**settings, stain=Stain(stain["method"], stain["target"]) if stain else None)


def preprocess_to(preprocess):
    """What a bundle says about how it reads images, including the numbers of its stain reference if it has one.

    Examples
    --------
    >>> preprocess_to(Preprocess(8)) == {"size": 8, "padding": "white", "filter": "lanczos", "icc": "srgb"}
    True
    """
    found = asdict(preprocess)
    return found if preprocess.stain else {name: value for name, value in found.items() if name != "stain"}
