"""Photographs and scans in DICOM files (PS3.3, PS3.5), read by pydicom, which is optional."""

import io

import numpy as np
from PIL import Image

from glomfeat.core.errors import UserError

SUFFIXES = (".dcm", ".dicom")
INSTALL = "DICOM needs pydicom: pip install 'glomfeat[dicom]'"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


class DicomError(UserError, ValueError):
    """A DICOM file is not read; the message is the reason, with the remedy."""


def is_dicom(data):
    """Whether bytes begin like those of a DICOM file."""
    return data[128:132] == b"DICM"


def is_installed():
    """Whether pydicom is installed."""
    from importlib.util import find_spec

    return find_spec("pydicom") is not None


def read_dicom(data, most_pixels):
    """Read the first frame of a DICOM file.

    Parameters
    ----------
    data : bytes
    most_pixels : int
        Larger images are refused, going by the header.

    Returns
    -------
    PIL.Image.Image
        Grey (L) or RGB, 8-bit; grey of more bits is scaled from the range of the stored bits. Its ``info`` holds an ICC
        profile if there is one.

    Raises
    ------
    DicomError
        pydicom is missing; or the file is damaged, a whole slide, signed, or packed in a way that pydicom cannot
        unpack.
    """
    pydicom = _library()
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        width, height = int(header.Columns), int(header.Rows)
    except Exception:  # parsers may raise anything
        raise DicomError("a DICOM file without an image, or cut off: copy it again, or leave it out") from None
    _check(header, width, height, most_pixels)
    try:
        pixels = pydicom.pixels.pixel_array(io.BytesIO(data), index=0)
        if header.PhotometricInterpretation == "PALETTE COLOR":
            pixels = pydicom.pixels.apply_color_lut(pixels, header)
        image = Image.fromarray(_eight_bit(pixels, header))
    except Exception:
        packed = header.file_meta.TransferSyntaxUID.name
        raise DicomError(
            f"DICOM pixels that are cut off, or packed in a way that is not unpacked here ({packed}): save them "
            "uncompressed (dcmdjpeg, gdcmconv --raw) or as PNG"
        ) from None
    if profile := _profile(header):
        image.info["icc_profile"] = profile
    return image


def _library():
    try:
        import pydicom
        import pydicom.pixels
    except ImportError:
        raise DicomError(INSTALL) from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE  # concerns values that are not used
    return pydicom


def _check(header, width, height, most_pixels):
    """Refuse what would be read wrongly."""
    if header.get("SOPClassUID") == WHOLE_SLIDE:
        raise DicomError("a whole slide: cut crops out of it with python -m studies.crops")
    if width * height > most_pixels:
        raise DicomError(f"{width} x {height} pixels are more than {most_pixels:,} allowed")
    if header.get("PixelRepresentation", 0):
        raise DicomError("signed pixels: it is not known which value is white; convert to unsigned 8 or 16 bit")


def _eight_bit(pixels, header):
    """Reduce grey or colour of up to 16 bits to 8 bits; white is the most that the stored bits can hold."""
    bits = int(header.get("BitsStored", 8))
    if header.PhotometricInterpretation == "PALETTE COLOR":
        bits = 8 * pixels.dtype.itemsize
    values = np.ascontiguousarray(pixels)
    if bits != 8:
        white = (1 << bits) - 1
        values = (np.minimum(values, white).astype(np.int64) * 255 + white // 2) // white
    values = values.astype(np.uint8)
    return 255 - values if header.PhotometricInterpretation == "MONOCHROME1" else values


def _profile(header):
    """The ICC profile, which colour images have in the header or in their optical path."""
    path = header.get("OpticalPathSequence")
    found = header.get("ICCProfile") or (path[0].get("ICCProfile") if path else None)
    return bytes(found) if found else None


def mode_and_profile(file):
    """Pillow's mode for the pixels, and the embedded ICC profile, from the header of an open file.

    Parameters
    ----------
    file : file object

    Returns
    -------
    mode : str
        ``L`` or ``RGB``.
    profile : bytes or None
    """
    header = _library().dcmread(file, stop_before_pixels=True)
    coloured = header.get("SamplesPerPixel", 1) > 1 or header.PhotometricInterpretation == "PALETTE COLOR"
    return "RGB" if coloured else "L", _profile(header)


def frames_of(file):
    """The number of frames from the header of an open file."""
    return int(_library().dcmread(file, stop_before_pixels=True).get("NumberOfFrames") or 1)


def size_of(file):
    """Width and height from the header of an open file; None if it has none."""
    try:
        header = _library().dcmread(file, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(header.Columns), int(header.Rows)
    except Exception:  # decoding says why
        return None
