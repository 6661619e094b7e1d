"""The page in a browser: it sorts, filters and copies, every picture loads, nothing is complained of."""

import json
import re
import shutil
import subprocess

import pytest
from helpers.reports import write_folder
from helpers.runs import GOOD, WEAK, make_run
from PIL import Image

from glomfeat.core.arms import FLOOR
from glomfeat.report.write import write_report
from glomfeat.results.tables import results_table

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
    "--virtual-time-budget=3000",
)
DRIVE = """
<script>addEventListener("load", async () => {
  const seen = {}, rows = () => [...document.querySelectorAll("#arms tbody tr")];
  const arms = () => rows().filter((row) => !row.hidden).map((row) => row.cells[0].dataset.v);
  const press = (key) => document.querySelector(`th[data-key="${key}"] button`).click();
  const order = (key) => document.querySelector(`th[data-key="${key}"]`).getAttribute("aria-sort");
  const type = (text) => {
    const box = document.getElementById("filter");
    box.value = text;
    box.dispatchEvent(new Event("input"));
  };
  seen.start = arms();
  press("auroc"); seen.up = [arms(), order("auroc")];
  press("arm"); seen.byArm = [arms(), order("arm"), order("auroc")];
  type("weak logistic"); seen.filtered = [arms(), document.getElementById("said").textContent];
  let copied = "";
  Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { copied = text; } } });
  document.getElementById("copy-csv").click(); await 0; seen.csv = copied;
  document.getElementById("copy-latex").click(); await 0; seen.latex = copied;
  type("");
  document.getElementById("tied").click(); seen.tied = arms();
  document.getElementById("tied").click();
  const more = document.querySelector("th.more"); seen.more = [getComputedStyle(more).display];
  document.getElementById("all").click(); seen.more.push(getComputedStyle(more).display);
  const tip = document.querySelector('th[data-key="auroc"] [role=tooltip]');
  seen.tip = [getComputedStyle(tip).display];
  document.querySelector('th[data-key="auroc"] button').focus({ focusVisible: true });
  seen.tip.push(getComputedStyle(tip).display);
  const images = [...document.images];
  seen.broken = images.filter((image) => !image.complete || !image.naturalWidth).length;
  seen.images = images.length;
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  seen.ink = getComputedStyle(document.body).color;
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = JSON.stringify(seen).replaceAll("<", "(").replaceAll("&", "and");
  document.body.append(result);
});</script>
"""


def browse(path, *more, hash=""):
    """What a page's document is in the end, and what the browser complained of."""
    profile = path.parent / f"profile-{len(list(path.parent.iterdir()))}"
    command = [BROWSER, *OPTIONS, f"--user-data-dir={profile}", *more, "--dump-dom", f"{path.as_uri()}{hash}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def can_browse(place):
    """Whether the browser runs here and may read the folder, which one that is confined may not."""
    place.mkdir()
    (place / "probe.html").write_text("<p>it works</p>")
    command = [BROWSER, *OPTIONS, f"--user-data-dir={place / 'profile'}", "--dump-dom", (place / "probe.html").as_uri()]
    try:
        return "it works" in subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """What the page did when it was used."""
    place = tmp_path_factory.mktemp("browser")
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome is installed")
    if not can_browse(place / "probe"):
        pytest.skip(f"{BROWSER} cannot open a page of {place}")
    images = place / "images"
    images.mkdir()
    for row in range(144):
        Image.new("RGB", (30, 40), (row, 90, 120)).save(images / f"i{row:03d}.png")
    path = write_report(write_folder(place / "out", make_run(), data=str(images)))
    page = path.with_name("driven.html")
    page.write_text(path.read_text(encoding="utf-8").replace("</body>", DRIVE + "</body>"), encoding="utf-8")
    document, complaints = browse(page, "--blink-settings=preferredColorScheme=0")
    found = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    assert found, complaints
    return json.loads(found[1]), complaints


def test_nothing_is_complained_of_and_every_picture_loads(driven):
    seen, complaints = driven
    assert complaints == [] and seen["images"] > 10 and seen["broken"] == 0
    assert seen["wide"] == 0  # the page itself does not scroll sideways


def test_the_table_sorts(driven):
    seen, _ = driven
    assert seen["start"] == [GOOD, WEAK, FLOOR]
    assert seen["up"] == [[FLOOR, WEAK, GOOD], "ascending"]
    assert seen["byArm"] == [[GOOD, FLOOR, WEAK], "ascending", None]


def test_the_table_filters(driven):
    seen, _ = driven
    assert seen["filtered"] == [[WEAK], "1 of 3 arms shown"] and seen["tied"] == [GOOD]
    assert seen["more"] == ["none", "table-cell"]


def test_what_is_shown_is_copied(driven):
    seen, _ = driven
    head, row = seen["csv"].strip().split("\n")
    table = results_table(make_run())
    assert head.split(",") == table.columns.tolist() and row.startswith(f"{WEAK},features,weak.v1,,none,logreg,done,6,")
    weak = table.set_index("arm").loc[WEAK]
    assert f"weak.v1/none/logreg and {weak['auroc']:.3f} ({weak['auroc_lo']:.3f}--" in seen["latex"]
    assert seen["latex"].startswith("\\begin{tabular}") and GOOD not in seen["latex"]


def test_headings_explain_themselves_to_the_keyboard(driven):
    assert driven[0]["tip"] == ["none", "block"]


def test_dark_readers_get_light_ink(driven):
    red, green, blue = map(int, re.findall(r"\d+", driven[0]["ink"]))
    assert min(red, green, blue) > 200


def test_an_address_opens_the_table_sorted(driven, tmp_path_factory):
    path = next(tmp_path_factory.getbasetemp().glob("browser*/out/report.html"))
    document, complaints = browse(path, hash="#sort=fit_s&order=up&filter=none")
    shown = re.findall(r'<tr[^>]*><th scope="row" data-v="([^"]+)"', document)
    cost = results_table(make_run()).set_index("arm")["fit_s"].to_dict()
    assert complaints == [] and shown == sorted(cost, key=cost.get)
