"""Files that cannot be read, and files that can be read but are odd."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from glomfeat.checks.data.findings import Finding
from glomfeat.core.progress import track
from glomfeat.core.words import number_of, printable
from glomfeat.data.files import open_bytes
from glomfeat.data.images import dicom
from glomfeat.data.images.decode import FORMATS, MAX_PIXELS, SUFFIX_OF
from glomfeat.data.images.icc import is_converted
from glomfeat.data.unread import counted

SHOWN = 5
USUAL = ("RGB", "RGBA")
ORIENTATION = 0x0112
CONVERTED = "colours become those of sRGB"
UNOPENED = "cannot be opened"
ODD = {
    "suffix": "the suffix is not that of the format",
    "mode": "not 8-bit RGB",
    "transparent": "transparent pixels",
    "frames": "several frames or pages, of which the first is read",
    "orientation": "an EXIF orientation, which is applied",
    "profile": "an embedded colour profile, which is applied unless --icc keep",
    "tiny": "less than 32 pixels on a side",
}


def look(path):
    """Find what is odd about a file, by the codes of `ODD`; nothing for files that cannot be read.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> import tempfile; from glomfeat.data.images.decode import encode_png; import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "a.jpg"
    >>> _ = path.write_bytes(encode_png(np.zeros((40, 40), np.uint8)))
    >>> look(path)
    {'suffix': 'PNG named .jpg', 'mode': 'L'}
    """
    found, suffix = {}, Path(path).suffix.lower()
    try:
        if suffix in dicom.SUFFIXES:
            with open_bytes(path) as file:
                if is_converted(*dicom.mode_and_profile(file)):
                    found["profile"] = CONVERTED
                file.seek(0)
                if (frames := dicom.frames_of(file)) > 1:
                    found["frames"] = f"{frames} frames"
            return found
        with open_bytes(path) as file, Image.open(file, formats=FORMATS) as image:
            if suffix not in SUFFIX_OF.get(image.format, (suffix,)):
                found["suffix"] = f"{image.format} named {suffix}"
            if image.mode not in USUAL:
                found["mode"] = image.mode
            if getattr(image, "n_frames", 1) > 1:
                found["frames"] = f"{image.n_frames} frames"
            if image.getexif().get(ORIENTATION, 1) != 1:
                found["orientation"] = f"orientation {image.getexif()[ORIENTATION]}"
            if is_converted(image.mode, image.info.get("icc_profile")):
                found["profile"] = CONVERTED
            if min(image.size) < 32:
                found["tiny"] = f"{image.width} x {image.height}"
            if image.has_transparency_data and image.width * image.height <= MAX_PIXELS:
                alpha = image.convert("RGBA").getchannel("A")
                if alpha.getextrema()[0] < 255:
                    share = sum(alpha.histogram()[:255]) / (image.width * image.height)
                    found["transparent"] = f"{share:.1%} of the pixels"
    except Exception:  # decoding says why; there is nothing to say here
        return {}
    return found


def odd_files(manifest, jobs):
    """Check every file for oddities.

    Returns
    -------
    list of dict
        ``code``, ``name``, ``case``, ``label`` and ``detail``.
    """
    table = manifest.table
    with ThreadPoolExecutor(jobs) as pool:
        seen = list(track(pool.map(look, table["path"]), "files", len(table)))
    rows = zip(table["name"], table["case"], table["label"], seen, strict=True)
    return [
        {"code": code, "name": name, "case": case, "label": manifest.classes[label], "detail": detail}
        for name, case, label, found in rows
        for code, detail in found.items()
    ]


def _unread(rows):
    if not rows:
        return []
    text = f"{number_of(len(rows), 'file is', 'files are')} of no format that is read: {counted(rows)}"
    details = tuple({"name": row["name"], "class": row["class"], "reason": row["reason"]} for row in rows)
    return [
        Finding(
            "files.unread",
            "warning",
            text,
            "suffixes of all files below DATA, except tables, texts and the like",
            "what is not read is missing in every table, and more of one class may be missing than of another",
            "save images as PNG, cut slides with python -m studies.crops, or move away what is not an image",
            details,
            (("files", len(rows)),),
        )
    ]


def check_files(manifest, broken, odd):
    """Findings on unreadable and odd files.

    Parameters
    ----------
    manifest : Manifest
        Of the images whose files can be opened.
    broken : list of dict
        ``name`` and ``reason``.
    odd : list of dict
        From `odd_files`.

    Returns
    -------
    list of Finding
    """
    found = _unread(manifest.unread)
    if broken:
        reasons = Counter(printable(row["reason"]) for row in broken).most_common()
        told = [f"{reason} ({number_of(count, 'file')})" for reason, count in reasons[:SHOWN]]
        told += ["other reasons"] if len(reasons) > SHOWN else []
        unopened = sum(row["reason"] == UNOPENED for row in broken)
        text = f"{len(broken)} of {len(manifest) + unopened} files cannot be read"
        found.append(
            Finding(
                "files.broken",
                "warning",
                f"{text}: {'; '.join(told)}",
                "every file was decoded",
                "what is set aside is missing in every table; broken files of one class or case shift the results",
                "restore them from the source, or remove them from the data set; files.csv names them",
                tuple(broken),
                (("files", len(broken)),),
            )
        )
    for code, what in ODD.items():
        rows = [row for row in odd if row["code"] == code]
        if rows:
            by_class = {name: sum(row["label"] == name for row in rows) for name in manifest.classes}
            details = ", ".join(sorted({row["detail"] for row in rows})[:3]) if code != "transparent" else ""
            counts = ", ".join(f"{count} {name}" for name, count in by_class.items())
            found.append(
                Finding(
                    f"files.{code}",
                    "info" if code in ("transparent", "orientation", "profile") else "warning",
                    f"{number_of(len(rows), 'file')}: {what}{f' ({details})' if details else ''}; {counts}",
                    "headers, and the alpha channel where there is one",
                    "a difference in how files were made can tell classes or cases apart, without anything to see",
                    "export all images in the same way, as 8-bit RGB PNG",
                    tuple({"class": row["label"], "detail": row["detail"]} for row in rows),  # files.csv has the names
                    (("files", len(rows)),),
                )
            )
    return found
