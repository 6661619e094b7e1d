import io
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glomfeat.data.images import decode as images
from glomfeat.data.images.damaged import is_damaged
from glomfeat.data.images.decode import FILTERS, PADDINGS, ImageError, Preprocess, decode, encode_png

RNG = np.random.default_rng(0)
NOT_AN_IMAGE = "not an image that can be read (PNG, JPEG, JPEG 2000, TIFF, BMP, WebP, GIF, DICOM)"


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_of(width, height, bits, rows, *chunks, kind=0):
    """A PNG, grey if its kind is 0 and of colours if it is 2, with further chunks in front of its pixels."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    chunks = (header, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def chunk(kind, data):
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    return png_of(width, height, 8, b"")


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def padded(image, padding):
    """The centred square, one pixel at a time."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2

    def source(at, length):
        if padding == "edge" or length == 1:
            return min(max(at, 0), length - 1)
        at = abs(at) % (2 * (length - 1))  # a mirror that does not repeat the border pixel
        return at if at < length else 2 * (length - 1) - at

    square = np.full((side, side, 3), 0 if padding == "zero" else 255, np.uint8)
    for y in range(side):
        for x in range(side):
            inside = 0 <= y - top < height and 0 <= x - left < width
            if inside or padding in ("edge", "reflect"):
                square[y, x] = image[source(y - top, height), source(x - left, width)]
    return square


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {})]
)
def test_lossless_formats_keep_every_pixel(kind, options):
    image = noise(5, 7, 3)
    data = encode(Image.fromarray(image), kind, **options)
    np.testing.assert_array_equal(np.asarray(decode(data)), image)


def test_webp_is_read_lossless_and_with_alpha():
    image = noise(5, 7, 3)
    data = encode(Image.fromarray(image), "WEBP", lossless=True)
    np.testing.assert_array_equal(np.asarray(decode(data)), image)
    clear = np.dstack([image, np.zeros((5, 7), np.uint8)])
    clear[0, 0, 3] = 255
    data = encode(Image.fromarray(clear), "WEBP", lossless=True)
    for ground in (0, 255):
        found = np.asarray(decode(data, ground)).reshape(-1, 3)
        assert found[0].tolist() == image[0, 0].tolist() and (found[1:] == ground).all()


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("JPEG", {"quality": 95, "progressive": True})]
)
def test_jpeg_is_close_to_what_was_saved(kind, options):
    ramp = np.add.outer(np.arange(32) * 4, np.arange(48) * 2).astype(np.uint8)
    image = np.dstack([ramp, 255 - ramp, ramp // 2])
    found = np.asarray(decode(encode(Image.fromarray(image), kind, **options))).astype(int)
    assert np.abs(found - image).max() <= 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "JPEG"])
def test_eight_bit_grey_becomes_three_equal_channels(kind):
    grey = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[:, None], 8, axis=1)
    found = np.asarray(decode(encode(Image.fromarray(grey), kind))).astype(int)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - grey).max() <= (2 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_the_nearest_eight_bit_of_the_full_range(kind):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = np.asarray(decode(encode(Image.fromarray(values), kind)))
    nearest = np.array([round(value / 257) for value in range(65536)]).reshape(256, 256)  # 65535 / 255 = 257
    np.testing.assert_array_equal(found, np.repeat(nearest[..., None], 3, axis=2))


def test_big_endian_sixteen_bit_tiff():
    values = np.array([[0, 256, 257, 65535]], np.uint16)
    image = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert np.asarray(decode(encode(image, "TIFF")))[0, :, 0].tolist() == [0, 1, 1, 255]


def test_one_bit_is_black_and_white():
    bits = np.array([[True, False, True], [False, False, True]])
    for kind in ("PNG", "TIFF", "BMP"):
        found = np.asarray(decode(encode(Image.fromarray(bits), kind)))
        np.testing.assert_array_equal(found[..., 1], np.where(bits, 255, 0))


@pytest.mark.parametrize(("padding", "ground"), [("white", 255), ("zero", 0), ("edge", 255), ("reflect", 255)])
def test_palette_with_and_without_transparency(padding, ground):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    read = Preprocess(2, padding).read
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    assert read(encode(image, "PNG"))[0].tolist() == [[red, green], [blue, green]]
    assert read(encode(image, "PNG", transparency=1))[0].tolist() == [[red, [ground] * 3], [blue, [ground] * 3]]
    half = read(encode(image, "PNG", transparency=bytes([255, 0, 51])))[0]  # 51 of 255 is a fifth
    assert half[1, 0].tolist() == [ground * 4 // 5, ground * 4 // 5, ground * 4 // 5 + 51]


def test_colour_that_stands_for_transparent():
    image = np.array([[[10, 20, 30], [1, 2, 3]]], np.uint8)
    data = encode(Image.fromarray(image), "PNG", transparency=(1, 2, 3))
    assert np.asarray(decode(data, 0)).tolist() == [[[10, 20, 30], [0, 0, 0]]]
    assert np.asarray(decode(data, 255)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("clear", [0, 65535, 255, 1000])
def test_a_colour_of_sixteen_bits_that_stands_for_transparent_is_read_or_refused(clear):
    """Of 255, Pillow's 8 bits would mean white; a pixel of 255 is nearly black."""
    pixels = np.array([[[clear] * 3, [20000, 40000, 60000], [65535, 0, 65535]]], ">u2")
    chunk_of = (b"tRNS", struct.pack(">HHH", *[clear] * 3))
    data = png_of(3, 1, 16, b"\0" + pixels.tobytes(), chunk_of, kind=2)
    if clear not in (0, 65535):
        with pytest.raises(ImageError, match=r"^16-bit colours of which one stands for transparent: save it as 8-bit"):
            decode(data)
        return
    for ground in (0, 255):
        assert np.asarray(decode(data, ground)).tolist() == [[[ground] * 3, [78, 156, 234], [255, 0, 255]]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_that_stands_for_transparent_is_clear_at_every_depth(bits):
    """The value 1 is; of 16 bits its neighbours are not, though they are the same in 8 bits."""
    most = 2**bits - 1
    values = np.arange(8).reshape(2, 4) % (most + 1)
    rows = (np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)) for row in values)
    data = png_of(4, 2, bits, b"".join(b"\0" + row.tobytes() for row in rows), (b"tRNS", struct.pack(">H", 1)))
    for ground in (0, 255):
        expected = np.where(values == 1, ground, np.rint(values * 255 / most)).astype(int)
        assert np.asarray(decode(data, ground))[..., 0].tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_partial_alpha_against_hand_computed_values(kind):
    """200 at 128/255: 100.39 on black, 227.39 on white. 90 at 51/255: 18 and 222. Clear and opaque pixels."""
    grey = np.array([[[200, 128], [90, 51], [77, 0], [77, 255]]], np.uint8)
    colour = np.concatenate([grey[..., [0, 0, 0]], grey[..., 1:]], axis=2)
    for image in (Image.fromarray(grey, "LA"), Image.fromarray(colour)):
        data = encode(image, kind)
        assert np.asarray(decode(data, 0))[0].tolist() == [[v] * 3 for v in (100, 18, 0, 77)]
        assert np.asarray(decode(data, 255))[0].tolist() == [[v] * 3 for v in (227, 222, 255, 77)]


@pytest.mark.parametrize("colour", [0, 255])
def test_opaque_pixels_are_kept_with_and_without_a_clear_one_beside_them(colour):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = np.dstack([levels, levels[::-1], levels.T])
    rgba = np.dstack([rgb, np.full((16, 16), 255, np.uint8)])
    np.testing.assert_array_equal(np.asarray(decode(encode_png(rgba), colour)), rgb)
    rgba[0, 0, 3], rgb[0, 0] = 0, colour
    np.testing.assert_array_equal(np.asarray(decode(encode_png(rgba), colour)), rgb)


def test_colour_below_transparency_does_not_shine_through():
    clear = np.dstack([noise(4, 4, 3), np.zeros((4, 4), np.uint8)])
    clear[0, 0] = 255
    for padding, ground in (("white", 255), ("zero", 0), ("edge", 255), ("reflect", 255)):
        pixels, _ = Preprocess(4, padding).read(encode_png(clear))
        assert (pixels.reshape(-1, 3)[1:] == ground).all()


def bitmap(alpha):
    """A BMP of 32 bits and one colour, as Windows writes it, with the mask of an alpha channel."""
    pixels = bytes([10, 20, 200, alpha]) * 4
    header = struct.pack("<IiiHHIIiiII", 108, 2, 2, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


@pytest.mark.parametrize(
    "data",
    [
        bitmap(0),
        encode_png(np.dstack([noise(4, 4, 3), np.zeros((4, 4), np.uint8)])),
        encode(Image.fromarray(np.zeros((4, 4, 2), np.uint8), "LA"), "TIFF"),
        encode(Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P"), "GIF", transparency=0),
    ],
    ids=["bmp", "png", "tiff", "gif"],
)
def test_an_image_of_which_nothing_is_seen_is_refused(data):
    message = "^wholly transparent, so nothing of it would be seen: save it without transparency$"
    with pytest.raises(ImageError, match=message):
        decode(data)
    assert np.asarray(decode(bitmap(255)))[0, 0].tolist() == [200, 20, 10]


def test_cmyk():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [10, 20, 30, 128], [0, 0, 0, 255]]], np.uint8)
    found = np.asarray(decode(encode(Image.fromarray(inks, "CMYK"), "TIFF"))).astype(float)
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    assert np.abs(found - expected).max() <= 1
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(np.asarray(decode(encode(flat, "JPEG", quality=95))).astype(int) - [255, 0, 0]).max() <= 6


def test_what_pillow_warns_of_reaches_nobodys_screen():
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12\0\x03\0\0\xff\xff\0\x06"
    data = encode(Image.fromarray(noise(8, 8, 3)), "JPEG", exif=exif)
    code = "import sys; from glomfeat.data.images.decode import decode; decode(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], input=data, capture_output=True, check=True)
    assert done.stderr == b""
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), warnings.catch_warnings():
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).getexif()


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: a.swapaxes(0, 1)[:, ::-1]),
        (7, lambda a: a.swapaxes(0, 1)[::-1, ::-1]),
        (8, lambda a: a.swapaxes(0, 1)[::-1]),
    ],
)
def test_exif_orientation_turns_the_image_upright(orientation, upright):
    image, exif = noise(2, 3, 3), Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(image), "PNG", exif=exif)
    np.testing.assert_array_equal(np.asarray(decode(data)), upright(image))
    _, size = Preprocess(4).read(data)
    assert size == ((3, 2) if orientation < 5 else (2, 3))


def test_of_several_pages_the_first_is_read():
    first, second = noise(3, 3, 3), noise(3, 3, 3)
    data = encode(Image.fromarray(first), "TIFF", save_all=True, append_images=[Image.fromarray(second)])
    np.testing.assert_array_equal(np.asarray(decode(data)), first)


def test_pictures_of_a_phone_are_jpeg_with_several_frames():
    """Pillow calls them MPO."""
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 0, 250)))
    data = encode(first, "MPO", save_all=True, append_images=[second])
    assert np.abs(np.asarray(decode(data)).astype(int) - [250, 0, 0]).max() <= 6


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(PADDINGS), st.integers(0, 2**32 - 1))
def test_square_against_a_loop_over_pixels(width, height, padding, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    side = max(width, height)
    pixels, size = Preprocess(side, padding).read(encode_png(image))  # the side asked for: no resize
    np.testing.assert_array_equal(pixels, padded(image, padding))
    assert size == (width, height) and pixels.dtype == np.uint8


def test_odd_remainder_lies_right_and_bottom():
    black = np.zeros((1, 4, 3), np.uint8)
    assert Preprocess(4).read(encode_png(black))[0][:, 0, 0].tolist() == [255, 0, 255, 255]
    tall = black.swapaxes(0, 1)
    assert Preprocess(4).read(encode_png(tall))[0][0, :, 0].tolist() == [255, 0, 255, 255]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [1, 5, 16, 33])
def test_resize_is_lanczos_of_the_square(padding, size):
    image = noise(13, 8, 3)
    expected = Image.fromarray(padded(image, padding)).resize((size, size), Image.Resampling.LANCZOS)
    pixels, original = Preprocess(size, padding).read(encode_png(image))
    np.testing.assert_array_equal(pixels, np.asarray(expected))
    assert original == (8, 13)


def test_the_square_of_a_long_image_has_no_more_pixels_than_an_image_may_have(monkeypatch):
    """The square of 20,000 x 2 pixels, a file of 200 bytes, would take more than a gigabyte."""
    assert images.LONGEST_PX**2 <= images.MAX_PIXELS
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    data, squares, pad = encode_png(np.repeat(np.tile(ramp, (4, 1))[..., None], 3, axis=2)), [], images._pad
    monkeypatch.setattr(images, "LONGEST_PX", 60)
    monkeypatch.setattr(images, "_pad", lambda *given: squares.append(pad(*given)) or squares[-1])
    pixels, size = Preprocess(8, "edge").read(data)
    assert size == (200, 4) and squares[0].size == (60, 60)
    assert np.abs(pixels[..., 0].astype(float) - np.linspace(0, 255, 17)[1::2]).max() < 6


@pytest.mark.parametrize("padding", PADDINGS)
def test_one_pixel_fills_any_square(padding):
    pixel = np.array([[[7, 80, 200]]], np.uint8)
    for size in (1, 6):
        pixels, original = Preprocess(size, padding).read(encode_png(pixel))
        assert original == (1, 1) and pixels.shape == (size, size, 3)
        assert (pixels == pixel).all()


def test_shrinking_is_antialiased():
    """A chequerboard of single pixels becomes even grey; without antialiasing it stays black or white."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels, _ = Preprocess(8).read(encode_png(np.dstack([board] * 3)))
    assert np.abs(pixels.astype(int) - 127).max() < 12


BAD = ["empty", "text", "signature", "png", "jpeg", "tiff", "bmp", "webp", "no_data", "no_pixels", "bomb", "large"]
BAD += ["float"]
TRUNCATED = r"^corrupt or truncated: .+"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^empty file$"),
        (b"name,ground truth\n", "^" + NOT_AN_IMAGE.replace("(", r"\(").replace(")", r"\)") + "$"),
        (b"\x89PNG\r\n\x1a\n", "^not an image that can be read"),
        (encode_png(noise(40, 40, 3))[:900], TRUNCATED),
        (encode(Image.fromarray(noise(40, 40, 3)), "JPEG")[:900], TRUNCATED),
        (encode(Image.fromarray(noise(40, 40, 3)), "TIFF")[:900], TRUNCATED),
        (encode(Image.fromarray(noise(40, 40, 3)), "BMP")[:900], TRUNCATED),
        (encode(Image.fromarray(noise(40, 40, 3)), "WEBP")[:300], TRUNCATED),
        (png_header(5, 5), TRUNCATED),
        (png_header(0, 5), "^not an image that can be read"),
        (png_header(20000, 20000), r"^more than 80,000,000 pixels: decompression bomb\?$"),
        (png_header(9000, 9000), r"^9000 x 9000 pixels are more than 80,000,000 allowed$"),
        (
            encode(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"),
            r"^floating-point pixels: their range is unknown; convert to 8 or 16 bit$",
        ),
    ],
    ids=BAD,
)
def test_bad_files_say_why(data, reason):
    with pytest.raises(ImageError, match=reason):
        Preprocess(8).read(data)


@pytest.mark.parametrize(("kind", "progressive"), [("JPEG", False), ("JPEG", True), ("MPO", False)])
def test_a_jpeg_whose_end_is_zeros_is_refused_and_one_with_bytes_after_its_end_is_not(kind, progressive):
    """Its thumbnail has an end of its own; cameras write a second picture, a film or zeros after the first."""
    picture = Image.fromarray(np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8))
    thumbnail, exif = encode(picture.resize((16, 12)), "JPEG"), Image.Exif()
    exif[0x927C] = thumbnail
    several = {"save_all": True, "append_images": [picture]} if kind == "MPO" else {}
    data = encode(picture, kind, exif=exif, progressive=progressive, **several)
    first = data.index(b"\xff\xd9", data.index(thumbnail) + len(thumbnail)) + 2
    for share in (2, 1.1):
        kept = int(first / share)
        with pytest.raises(ImageError, match=TRUNCATED):
            decode(data[:kept] + bytes(len(data) - kept))
    whole = np.asarray(Image.open(io.BytesIO(data)))
    for tail in (bytes(500), data, b"\xff\xd8\xff\xda" + bytes(9), thumbnail + bytes(3)):
        np.testing.assert_array_equal(np.asarray(decode(data + tail)), whole)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def test_a_png_with_wrong_bytes_among_its_pixels_is_refused():
    """Pillow itself reads many of them, as it stops where the rows are full."""
    data = encode_png(np.random.default_rng(0).integers(0, 256, (200, 150, 3), np.uint8))
    first, last = data.index(b"IDAT"), data.rindex(b"IDAT")
    assert first < last
    lost = [data[: int(len(data) * share)].ljust(len(data), b"\0") for share in (0.3, 0.5, 0.9, 0.99)]
    wrong = [flipped(data, at) for at in (first - 1, first, first + 4, first + 500, last - 1, last + 9, len(data) - 15)]
    for bad in (*lost, *wrong, data[:-13]):
        with pytest.raises(ImageError):
            decode(bad)


def test_zeros_at_the_end_of_a_smooth_png_are_refused():
    smooth = np.add.outer(np.arange(160), np.arange(120)).astype(np.uint8)
    data = encode_png(smooth)
    bad = data[: len(data) // 2].ljust(len(data), b"\0")
    with Image.open(io.BytesIO(bad)) as image:
        assert not np.array_equal(np.asarray(image), smooth)  # Pillow reads it, with other pixels
    with pytest.raises(ImageError, match=TRUNCATED):
        decode(bad)


def test_a_whole_png_is_read_whatever_else_is_in_its_file():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    start = png_of(7, 9, 8, rows)[:33]
    packed, end, text = zlib.compress(rows), chunk(b"IEND", b""), chunk(b"tEXt", b"Comment\0cut here")
    parts = b"".join(chunk(b"IDAT", part) for part in (packed[:9], b"", packed[9:30], packed[30:]))
    one = chunk(b"IDAT", packed)
    whole = [parts + end, one, one + end[:-1], one + end + bytes(99), one + end + b"IDAT", text + one + end]
    whole += [one + flipped(text, 12) + end, one + flipped(end, 9)]
    for rest in whole:
        np.testing.assert_array_equal(np.asarray(decode(start + rest))[..., 0], pixels)
    moving = encode(Image.fromarray(pixels), "PNG", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    for data in (moving, flipped(moving, moving.index(b"fdAT") + 9)):  # the first picture alone counts
        np.testing.assert_array_equal(np.asarray(decode(data))[..., 0], pixels)


def test_checking_a_large_png_copies_nothing():
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 1000), np.uint8)), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        tracemalloc.start()
        try:
            assert not is_damaged(image, data)
            assert tracemalloc.get_traced_memory()[1] < 20_000 < len(data)
        finally:
            tracemalloc.stop()


def test_a_bomb_that_pillow_only_warns_of_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a user's run has it
        with pytest.raises(ImageError, match=r"^10000 x 10000 pixels are more than 80,000,000 allowed$"):
            decode(png_header(10000, 10000))


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO"])
def test_other_formats_are_not_decoded(kind):
    """Above all EPS, for which Pillow would start Ghostscript on a stranger's program."""
    data = encode(Image.fromarray(noise(4, 4, 3)), kind)
    with pytest.raises(ImageError) as error:
        decode(data)
    assert str(error.value) == NOT_AN_IMAGE


def test_too_little_memory_is_not_the_files_fault(monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(images.ImageOps, "exif_transpose", exhausted)
    with pytest.raises(MemoryError):
        decode(encode_png(noise(2, 2, 3)))


SAMPLES = [
    encode(Image.fromarray(RNG.integers(0, 256, (12, 9, 3), np.uint8)), kind)
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "GIF")
]


def read_or_refuse(data):
    """Only ImageError may come out; huge claims are refused early to keep the test small."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(images, "MAX_PIXELS", 100_000)
        warnings.simplefilter("ignore")
        try:
            pixels, size = Preprocess(4).read(data)
        except ImageError as error:
            assert str(error)
        else:
            assert pixels.shape == (4, 4, 3) and min(size) > 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"BM", b"RIFF"]))
def test_random_bytes_raise_nothing_but_image_error(data, magic):
    read_or_refuse(magic + data)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.floats(0.2, 1.0),
)
def test_damaged_images_raise_nothing_but_image_error(sample, changes, share):
    data = bytearray(sample[: int(len(sample) * share)])
    for at, value in changes:
        data[at % len(data)] = value
    read_or_refuse(bytes(data))


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match=r"^size is 0: the side of the square must be at least 1 pixel$"):
        Preprocess(0)
    with pytest.raises(ValueError, match=r"^padding is 'black': allowed are white, zero, edge, reflect$"):
        Preprocess(8, "black")
    with pytest.raises(ValueError, match=r"^icc is 'none': allowed are srgb, keep$"):
        Preprocess(8, icc="none")
    with pytest.raises(ValueError, match=r"^filter is 'nearest': allowed are lanczos, bicubic, bilinear$"):
        Preprocess(8, "white", "nearest")


def test_key_tells_preprocessings_apart():
    settings = [(size, padding, how) for size in (8, 9) for padding in PADDINGS for how in FILTERS]
    assert len({str(Preprocess(*one).key) for one in settings}) == 24
    assert Preprocess(8, "zero").key == {"pixels": "v6", "size": 8, "padding": "zero"}
    assert Preprocess(8, icc="keep").key == {"pixels": "v6", "size": 8, "padding": "white", "icc": "keep"}


@pytest.mark.parametrize("side", [7, 40])
def test_each_filter_resizes_as_pillow_does(side):
    image, found = noise(12, 20, 3), {}
    square = np.full((20, 20, 3), 255, np.uint8)
    square[4:16] = image
    for how in FILTERS:
        expected = Image.fromarray(square).resize((side, side), Image.Resampling[how.upper()])
        found[how], _ = Preprocess(side, filter=how).read(encode_png(image))
        np.testing.assert_array_equal(found[how], np.asarray(expected))
    assert len({pixels.tobytes() for pixels in found.values()}) == 3


def test_encode_png_round_trips():
    for shape in ((3, 4), (3, 4, 3), (3, 4, 4)):
        image = noise(*shape)
        with Image.open(io.BytesIO(encode_png(image))) as found:
            np.testing.assert_array_equal(np.asarray(found), image)
