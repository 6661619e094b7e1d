"""Crops saved as TIFF by other programs: the pixels that tifffile finds, or a reason."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from glomfeat.data.images.decode import ImageError, decode

Y, X = np.mgrid[:48, :80]
RGB = np.dstack([X * 3, Y * 5, X + Y]).astype(np.uint8)
GREY = RGB[..., 0]
RGB_16, GREY_16 = RGB.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
PLANES = RGB.transpose(2, 0, 1)
CMYK = np.dstack([255 - RGB, np.zeros_like(GREY)])
ALPHA, HALF = np.full_like(GREY, 255), np.full_like(GREY, 128)
COLOURS = np.array([np.arange(256), np.arange(256)[::-1], np.full(256, 7)], np.uint16) * 257


def tiff(image, **options):
    if options.get("compression") not in (None, "deflate") or {"predictor", "bitspersample"} & set(options):
        pytest.importorskip("imagecodecs", reason="tifffile packs in this way with imagecodecs only")
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


def three(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def packed(photometric, compression, **options):
    return {"photometric": photometric, "compression": compression, **options}


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (RGB, packed("rgb", "lzw", predictor=True), RGB),
        (RGB, packed("rgb", "deflate", tile=(16, 32)), RGB),
        (RGB, packed("rgb", "zstd"), RGB),
        (RGB, packed("rgb", "packbits", rowsperstrip=7), RGB),
        (RGB, packed("rgb", None, bigtiff=True), RGB),
        (PLANES, packed("rgb", None, planarconfig="separate"), RGB),
        (PLANES, packed("rgb", "lzw", planarconfig="separate", tile=(16, 16)), RGB),
        (RGB_16, packed("rgb", None), RGB),
        (RGB_16, packed("rgb", "lzw", byteorder=">", predictor=True), RGB),
        (RGB_16.transpose(2, 0, 1), packed("rgb", "lzw", planarconfig="separate"), RGB),
        (GREY, packed("minisblack", "deflate", tile=(16, 16)), three(GREY)),
        (255 - GREY, packed("miniswhite", None), three(GREY)),
        (255 - GREY, packed("miniswhite", "lzw"), three(GREY)),
        (65535 - GREY_16, packed("miniswhite", None), three(GREY)),
        (65535 - GREY_16, packed("miniswhite", "deflate"), three(GREY)),
        (GREY_16 >> 4, packed("minisblack", None, bitspersample=12), three(GREY)),
        (GREY, packed("palette", None, colormap=COLOURS), np.dstack([GREY, 255 - GREY, np.full_like(GREY, 7)])),
        (GREY, packed("palette", "lzw", colormap=COLOURS), np.dstack([GREY, 255 - GREY, np.full_like(GREY, 7)])),
        (CMYK, packed("separated", "lzw"), RGB),
        (CMYK.astype(np.uint16) * 257, packed("separated", None), RGB),
        (np.dstack([RGB, ALPHA]), packed("rgb", None, extrasamples=["assocalpha"]), RGB),
        (np.dstack([RGB_16, ALPHA * np.uint16(257)]), packed("rgb", "lzw", extrasamples=["unassalpha"]), RGB),
        (np.dstack([GREY // 2, HALF]), packed("minisblack", None, extrasamples=["assocalpha"]), three(127 + GREY // 2)),
        (np.dstack([RGB, GREY]), packed("rgb", None, extrasamples=["unspecified"]), RGB),
        (np.dstack([RGB, GREY, GREY]), packed("rgb", None, extrasamples=[0, 0]), RGB),
        (np.stack([GREY, 255 - GREY]), packed("minisblack", None), three(GREY)),
    ],
)
def test_pixels_are_kept(image, options, expected):
    np.testing.assert_array_equal(np.asarray(decode(tiff(image, **options))), expected)


@pytest.mark.parametrize("options", [{}, {"subsampling": (2, 2)}, {"subsampling": (2, 1), "tile": (16, 32)}])
@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
def test_jpeg_inside_is_what_tifffile_makes_of_it(options, photometric):
    options = options if photometric == "ycbcr" else {name: v for name, v in options.items() if name == "tile"}
    data = tiff(RGB, photometric=photometric, compression="jpeg", **options)
    expected = tifffile.imread(io.BytesIO(data)).astype(int)
    assert np.abs(np.asarray(decode(data)) - expected).max() <= 1


def test_lab_is_brought_to_srgb():
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[..., 0] = 255
    lab[4:, :, 0] = 0
    found = np.asarray(decode(tiff(lab, photometric="cielab")))
    assert found[:4].min() > 250 and found[4:].max() < 5


def pyramid(first):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        full, small = (RGB, {"subfiletype": 0}), (RGB[::2, ::2], {"subfiletype": 1})
        for image, options in (full, small) if first == "full" else (small, full):
            writer.write(image, photometric="rgb", tile=(16, 16), **options)
    return file.getvalue()


def test_of_a_pyramid_the_full_resolution_is_read():
    np.testing.assert_array_equal(np.asarray(decode(pyramid("full"))), RGB)
    with pytest.raises(ImageError, match=r"^the first page is a smaller copy of another: save the page of full"):
        decode(pyramid("small"))


KIND = r"^a TIFF whose pixels cannot be read: save it as 8-bit RGB$"
SIGNED = r"^signed pixels: it is not known which value is white; convert to unsigned 8 or 16 bit$"
WIDE = r"^32-bit pixels: it is not known which value is white; convert to 8 or 16 bit$"
FLOAT = r"^floating-point pixels: their range is unknown; convert to 8 or 16 bit$"


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (
            RGB_16.transpose(2, 0, 1),
            packed("rgb", None, planarconfig="separate"),
            r"^16-bit channels that are stored one",
        ),
        (GREY.astype(np.int8), {}, SIGNED),
        (GREY_16.view(np.int16) >> 1, {}, SIGNED),
        (GREY_16.view(np.int16) >> 1, {"byteorder": ">"}, SIGNED),
        (GREY.astype(np.int32), {}, SIGNED),
        (GREY.astype(np.uint32), {}, WIDE),
        (GREY_16.astype(np.uint32), {}, WIDE),
        (GREY.astype(np.float32), {}, FLOAT),
        (GREY.astype(np.float64), {}, KIND),
        (RGB.astype(np.float32), packed("rgb", None), KIND),
        (RGB.astype(np.uint32), packed("rgb", None), KIND),
        (np.stack([GREY] * 5), packed("minisblack", None, planarconfig="separate"), KIND),
        (RGB, packed("rgb", "jpeg2000"), KIND),
        (
            RGB,
            packed("rgb", "webp"),
            r"^WebP inside a TIFF, which Pillow does not read: save it as PNG, or as TIFF with",
        ),
    ],
)
def test_what_would_be_read_wrongly_or_not_at_all_says_why(image, options, reason):
    with pytest.raises(ImageError, match=reason):
        decode(tiff(image, **options))


@pytest.mark.parametrize("program", ["ome", "imagej"])
def test_channels_that_are_pages_are_not_taken_for_a_grey_image(program):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **{program: True}) as writer:
        writer.write(PLANES, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match=r"^the channels of one image as separate pages: save it as RGB$"):
        decode(file.getvalue())


def test_a_packed_crop_that_is_cut_off_says_so():
    with pytest.raises(ImageError, match=r"^corrupt or truncated: .+"):
        decode(tiff(RGB, photometric="rgb", compression="deflate")[:-400])


def test_imagej_rgb_and_stacks_of_colour_are_read():
    np.testing.assert_array_equal(np.asarray(decode(tiff(RGB, imagej=True))), RGB)
    np.testing.assert_array_equal(np.asarray(decode(tiff(np.stack([RGB, 255 - RGB]), photometric="rgb"))), RGB)


def test_grey_of_sixteen_bits_in_png_is_not_taken_for_a_tiff():
    file = io.BytesIO()
    Image.fromarray(GREY_16).save(file, "png")
    np.testing.assert_array_equal(np.asarray(decode(file.getvalue())), three(GREY))
