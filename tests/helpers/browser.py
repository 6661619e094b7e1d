"""A headless Chromium that tests look through and press keys in, over its DevTools protocol."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0", "about:blank"),
)
SECONDS = 60
KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}


class Page:
    """A page of a browser.

    Attributes
    ----------
    complaints : list of str
        What the page's scripts and the browser complained of.
    downloads : Path
        Where what the page saves is put.
    """

    def __init__(self, loop, socket, downloads):
        self._loop, self._socket, self._sent = loop, socket, 0
        self.complaints, self.downloads, self._loaded = [], downloads, False
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def call(self, method, **parameters):
        """Ask for something of the protocol, and wait for the answer."""
        self._sent += 1
        number = self._sent
        message = json.dumps({"id": number, "method": method, "params": parameters})
        self._run(lambda: self._socket.write_message(message))
        while True:
            found = self._read()
            if found.get("id") == number:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def _run(self, ask):
        return self._loop.run_sync(ask, timeout=SECONDS)

    def _read(self):
        text = self._run(self._socket.read_message)
        assert text is not None, "the browser is gone"
        found = json.loads(text)
        told, of = found.get("method"), found.get("params", {})
        if told == "Runtime.exceptionThrown":
            self.complaints.append(of["exceptionDetails"].get("exception", {}).get("description", str(of)))
        elif told == "Log.entryAdded" and of["entry"]["level"] in ("warning", "error"):
            self.complaints.append(of["entry"]["text"])
        elif told == "Runtime.consoleAPICalled" and of["type"] in ("warning", "error"):
            self.complaints.append(str(of["args"]))
        elif told == "Page.loadEventFired":
            self._loaded = True
        return found

    def open(self, path, hash="", width=1200, height=900, dark=False, media=""):
        """Load a page of the disk, as wide as asked, light or dark, on the screen or (`media`) as printed."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        colours = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=colours)
        self._loaded = False
        self.call("Page.navigate", url=Path(path).resolve().as_uri() + hash)
        while not self._loaded:
            self._read()

    def ask(self, script):
        """The value of an expression of JavaScript, as plain data; a promise is waited for."""
        how = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self.call("Runtime.evaluate", expression=script, **how)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector):
        """Press the mouse in the middle of the first element that a selector finds."""
        where = f"document.querySelector({json.dumps(selector)})"
        x, y = self.ask(
            f"(() => {{ const e = {where}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Press a key: a letter, or one of `KEYS`."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        code = KEYS.get(key) or ord(key.upper())
        of = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **of)
        self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def saved(self, name):
        """A file that the page saved, when it is whole."""
        path, until = self.downloads / name, time.monotonic() + SECONDS
        while not path.exists() or list(self.downloads.glob("*.crdownload")):
            assert time.monotonic() < until, f"{name} was not saved: there are {list(self.downloads.iterdir())}"
            time.sleep(0.05)
        return path

    def picture(self, path, whole=True):
        """Save what is seen as PNG; the page from top to bottom, or what the window shows of it."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def print(self, path):
        """Save the page as the PDF that it is printed as."""
        found = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        Path(path).write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def opened_browser(place):
    """A browser with one empty page; the test is skipped, with the reason, where there is none.

    Parameters
    ----------
    place : Path
        A folder that is there, for what pages save.
    """
    websocket = pytest.importorskip("tornado.websocket", reason="tornado, which comes with distributed, is not there")
    from tornado.httpclient import HTTPClient
    from tornado.ioloop import IOLoop

    if BROWSER is None:
        pytest.skip("no Chromium or Chrome is installed")
    downloads, profile = place / "downloads", Path(tempfile.mkdtemp(dir=place, prefix="profile-"))
    downloads.mkdir(exist_ok=True)
    command = [BROWSER, *OPTIONS[:-1], f"--user-data-dir={profile}", OPTIONS[-1]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(process, profile / "DevToolsActivePort")
        with contextlib.closing(HTTPClient()) as client:
            pages = json.loads(client.fetch(f"http://127.0.0.1:{port}/json/list").body)
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        loop = IOLoop(make_current=False)
        socket = loop.run_sync(lambda: websocket.websocket_connect(address, max_message_size=2**28), timeout=SECONDS)
        page, probe = Page(loop, socket, downloads), place / "probe.html"
        probe.write_text("<p>it works</p>")
        page.open(probe)
        if page.ask("document.body.textContent") != "it works":
            pytest.skip(f"{BROWSER} cannot open a page of {place}")
        page.complaints.clear()
        yield page
        socket.close()
        loop.close()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _port(process, path):
    """The port that a browser says it listens at; the test is skipped where the browser does not run here."""
    until = time.monotonic() + SECONDS
    while not (path.exists() and path.read_text().count("\n")):
        if process.poll() is not None or time.monotonic() > until:
            pytest.skip(f"{BROWSER} does not run here")
        time.sleep(0.05)
    return int(path.read_text().split("\n")[0])
