"""Regions of a slide against the array that it was made of."""

import sys

import numpy as np
import pytest
from helpers.slides import box, make_slide
from PIL import Image

from glomfeat.data.slides import read as slides
from glomfeat.data.slides.outlines import Outline
from glomfeat.data.slides.read import Cut, SlideError, cut_out, open_slide

tifffile = pytest.importorskip("tifffile", reason="slides are made with tifffile")
WIDTH, HEIGHT = 512, 384
SIZE = r"512 x 384 pixels"


def pixels():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([x // 2, y // 2, (x + y) // 4]).astype(np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_slide(tmp_path_factory.mktemp("slides") / "P1_PAS_1of1.tiff", pixels())


@pytest.fixture(params=["tiffslide", "openslide"])
def slide(path, request, monkeypatch):
    """The slide, by each library alone."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed", exc_type=ImportError)
    for other in {"tiffslide", "openslide"} - {request.param}:
        monkeypatch.setitem(sys.modules, other, None)
    opened = open_slide(path)
    assert type(opened).__module__.startswith(request.param)
    yield opened
    opened.close()


def test_a_crop_at_full_resolution_is_the_pixels_of_the_slide(slide):
    image = pixels()
    np.testing.assert_array_equal(cut_out(slide, box(100, 50, 200, 90), Cut(margin=0)), image[50:90, 100:200])
    margin = cut_out(slide, box(100, 50, 200, 90), Cut(margin=0.1))
    np.testing.assert_array_equal(margin, image[40:100, 90:210])
    uneven = cut_out(slide, box(100.4, 50.6, 199.2, 90), Cut(margin=0))
    np.testing.assert_array_equal(uneven, image[50:90, 100:200])


@pytest.mark.parametrize(("mpp", "shape"), [(0.5, (20, 50)), (1.0, (10, 25)), (0.7, (14, 36)), (2.0, (5, 12))])
def test_a_crop_of_another_resolution_lies_in_the_same_place(slide, mpp, shape):
    found = cut_out(slide, box(101, 51, 201, 91), Cut(mpp, margin=0)).astype(float)
    assert found.shape[:2] == shape
    x = 101 + (np.arange(shape[1]) + 0.5) * 100 / shape[1] - 0.5  # the slide is a ramp
    y = 51 + (np.arange(shape[0]) + 0.5) * 40 / shape[0] - 0.5
    inner = np.s_[1:-1, 1:-1]
    assert (
        np.abs(found[..., 0] - x / 2)[inner].max() < 1.6 and np.abs(found[..., 1] - y[:, None] / 2)[inner].max() < 1.6
    )


def test_a_crop_ends_where_the_slide_ends(slide):
    image = pixels()
    np.testing.assert_array_equal(cut_out(slide, box(-10, -10, 50, 60), Cut(margin=0.5)), image[:95, :85])
    np.testing.assert_array_equal(cut_out(slide, box(495, 365, 515, 387), Cut(margin=0)), image[365:, 495:])
    small = cut_out(slide, box(437, 301, 512, 384), Cut(1.0, margin=0))
    assert small.shape == (21, 19, 3) and small.min() > 60  # no black of beyond the edge


def test_white_outside_the_outline_and_in_its_holes(slide):
    hole = [[120, 60], [140, 60], [140, 80], [120, 80], [120, 60]]
    found = cut_out(slide, box(100, 50, 200, 90, hole), Cut(margin=0.1, mask="white"))
    expected = np.full((60, 120, 3), 255, np.uint8)
    expected[10:50, 10:110] = pixels()[50:90, 100:200]
    expected[20:40, 30:50] = 255
    np.testing.assert_array_equal(found, expected)


def test_a_pixel_is_kept_if_its_centre_lies_in_the_outline(slide):
    x, y = np.mgrid[:64, :64][::-1] + 0.5
    corner = Outline("GS", ((np.array([[100, 50], [163.75, 50], [100, 113.75]]),),))
    found = cut_out(slide, corner, Cut(margin=0, mask="white"))
    np.testing.assert_array_equal((found < 255).any(axis=2), x + y < 63.75)
    small = cut_out(slide, corner, Cut(mpp=1.0, margin=0, mask="white"))
    np.testing.assert_array_equal((small < 255).any(axis=2), (x + y < 63.75 / 4)[:16, :16])
    with pytest.raises(SlideError, match=r"^it is smaller than a pixel of the crop, of which --mask white leaves noth"):
        cut_out(slide, box(100.6, 50.6, 101.4, 51.4), Cut(margin=0, mask="white"))


@pytest.mark.parametrize("order", [1, -1])
def test_an_island_in_a_hole_is_seen_whatever_the_order(slide, order):
    def ring(low, high):
        return np.array([[low, low], [high, low], [high, high], [low, high], [low, low]], float)

    polygons = [(ring(50, 150), ring(70, 130)), (ring(90, 110),)]
    found = cut_out(slide, Outline("GS", tuple(polygons[::order])), Cut(margin=0, mask="white"))
    image = pixels()[50:150, 50:150]
    np.testing.assert_array_equal(found[42:58, 42:58], image[42:58, 42:58])
    np.testing.assert_array_equal(found[:18], image[:18])
    assert (found[22:38, 22:78] == 255).all()


@pytest.mark.parametrize(
    ("outline", "cut", "reason"),
    [
        (box(600, 50, 700, 90), Cut(), rf"^most of it lies outside the slide, which has {SIZE}$"),
        (box(-60, 50, 40, 90), Cut(), rf"^most of it lies outside the slide, which has {SIZE}$"),
        (box(-900, -900, -800, -800), Cut(), rf"^most of it lies outside the slide, which has {SIZE}$"),
        (box(0, 0, 50, 50), Cut(0.2), r"^the slide has 0\.25 microns per pixel, which --mpp 0\.2 is finer than$"),
    ],
)
def test_what_cannot_be_cut_out_says_why(slide, outline, cut, reason):
    with pytest.raises(SlideError, match=reason):
        cut_out(slide, outline, cut)


def test_a_slide_without_a_resolution(tmp_path):
    pytest.importorskip("tiffslide", reason="tiffslide is not installed")
    with open_slide(make_slide(tmp_path / "a.tiff", pixels(), mpp=None)) as slide:
        assert cut_out(slide, box(0, 0, 50, 40), Cut(margin=0)).shape == (40, 50, 3)
        with pytest.raises(SlideError, match=r"^the slide states no microns per pixel: leave out --mpp"):
            cut_out(slide, box(0, 0, 50, 40), Cut(0.5))


def test_too_large_a_crop_is_not_read(slide, monkeypatch):
    monkeypatch.setattr(slides, "MAX_PIXELS", 100)
    with pytest.raises(SlideError, match=r"^50 x 40 pixels are more than 100 allowed$"):
        cut_out(slide, box(0, 0, 50, 40), Cut(margin=0))
    assert cut_out(slide, box(0, 0, 20, 20), Cut(1.0, margin=0)).shape == (5, 5, 3)


class Scanned:
    """A slide of a scanner that states where the scanned part lies, with clear pixels."""

    def __init__(self):
        self.dimensions, self.level_dimensions, self.level_downsamples = (100, 100), ((100, 100),), (1.0,)
        bounds = {"x": "30", "y": "20", "width": "50", "height": "60"}
        self.properties = {f"openslide.bounds-{name}": value for name, value in bounds.items()}

    def get_best_level_for_downsample(self, _):
        return 0

    def read_region(self, where, _, size):
        image = np.zeros((100, 100, 4), np.uint8)
        image[..., :2], image[..., 3] = np.indices((100, 100)).transpose(1, 2, 0), 255
        image[25, 35, 3] = 0
        return Image.fromarray(image).crop((*where, where[0] + size[0], where[1] + size[1]))


def test_quite_as_qupath_coordinates_begin_where_the_scanned_part_does():
    found = cut_out(Scanned(), box(5, 5, 10, 10), Cut(margin=0))
    assert found[0, 0].tolist() == [255, 255, 255]  # clear: nothing was scanned
    assert found[1, 2].tolist() == [26, 37, 0]
    assert cut_out(Scanned(), box(40, 50, 55, 61), Cut(margin=0)).shape == (10, 10, 3)


def test_what_is_no_slide_says_so_and_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.svs").write_bytes(b"no slide")
    with pytest.raises(SlideError, match=r"^cannot be read as a slide \(.+\)$"):
        open_slide(tmp_path / "a.svs")
    for library in ("tiffslide", "openslide"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=r"^slides need tiffslide or OpenSlide: pip install 'glomfeat\[wsi\]', or pip"):
        open_slide(tmp_path / "a.svs")


def test_a_tile_that_cannot_be_read_and_pixels_that_are_no_colours():
    def broken(*_):
        raise RuntimeError("tile 7")

    slide = Scanned()
    slide.read_region = broken
    with pytest.raises(SlideError, match=r"^cannot be read from the slide: tile 7$"):
        cut_out(slide, box(0, 0, 9, 9), Cut())
    slide.read_region = lambda *_: Image.new("I;16", (9, 9))
    with pytest.raises(SlideError, match=r"^pixels of mode I;16: slides with 8-bit colour are read$"):
        cut_out(slide, box(0, 0, 9, 9), Cut())
