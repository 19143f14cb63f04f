"""A headless Chromium from PATH, spoken to over its own protocol. https://chromedevtools.github.io/devtools-protocol/."""

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

SECONDS = 30.0
"""How long anything may take, far beyond what it needs."""
QUIET = (
    "--headless",
    "--no-sandbox",  # CI runs as root; the only page it sees is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-port=0",
)

FAINT_TEXTS = """(() => {
  const parsed = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const [r, g, b, a] = parsed(getComputedStyle(e).backgroundColor); if (a !== 0) return [r, g, b]; } };
  return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".unseen")
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).map((e) => {
      const [one, other] = [light(parsed(getComputedStyle(e).color)), light(ground(e))];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return [ratio, e.tagName + "#" + e.id + "." + e.className + ": " + e.textContent.slice(0, 30)]; })
    .filter(([ratio]) => ratio < 4.5);
})()"""


class Chromium:
    """A browser with one page. `requests` are the URLs that it asked for, `complaints` what its console was told."""

    def __init__(self, profile: Path) -> None:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert found is not None, "no Chromium in PATH; type: apt-get install -y chromium"
        self._log = profile / "log"
        with self._log.open("wb") as log:
            command = [found, *QUIET, f"--user-data-dir={profile}", "about:blank"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded: set[str] = set()
        self._numbers = itertools.count(1)
        self._open = contextlib.ExitStack()
        self._connection: ClientConnection | None = None
        self._session = ""

    def __enter__(self) -> Self:
        try:
            connecting = connect(self._address(), max_size=None, open_timeout=SECONDS)
            self._connection = self._open.enter_context(connecting)
            (page,) = (each for each in self._ask("Target.getTargets")["targetInfos"] if each["type"] == "page")
            self._session = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._ask(f"{domain}.enable")
            self._ask("Page.setLifecycleEventsEnabled", enabled=True)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self) -> str:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = re.search(r"DevTools listening on (ws://\S+)", self._log.read_text(errors="replace"))
            if found:
                return found[1]
            assert self._process.poll() is None, f"Chromium ended: {self._log.read_text(errors='replace')[-2000:]}"
            time.sleep(0.02)
        raise AssertionError(f"Chromium did not start: {self._log.read_text(errors='replace')[-2000:]}")

    def _ask(self, method: str, **parameters: Any) -> Any:
        assert self._connection is not None
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(asked | ({"sessionId": self._session} if self._session else {})))
        for told in self._told():
            if told.get("id") == number:
                assert "error" not in told, f"{method}: {told.get('error')}"
                return told["result"]
        raise AssertionError(f"Chromium did not answer {method}")

    def _told(self) -> Iterator[dict[str, Any]]:
        assert self._connection is not None
        end = time.monotonic() + SECONDS
        while True:
            told = json.loads(self._connection.recv(max(0.01, end - time.monotonic())))
            self._note(told.get("method"), told.get("params", {}))
            yield told

    def _note(self, method: str | None, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.lifecycleEvent" and parameters["name"] == "load":
            self._loaded.add(parameters["loaderId"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])

    def window(self, width: int, height: int, *, dark: bool = False) -> None:
        """From now on the page is so large, in CSS pixels, on a system with a light or a dark scheme."""
        is_phone = width < 600
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Show the page at `url`; return when it has loaded and its scripts have run."""
        begun = self._ask("Page.navigate", url=url)
        assert "errorText" not in begun, begun
        told = self._told()
        while begun["loaderId"] not in self._loaded:
            next(told)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, a promise's result included; raises AssertionError for what it throws."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Return when a JavaScript expression is true; fail when it is not for long."""
        end = time.monotonic() + SECONDS
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}; shown: {self.value('document.body.innerText')}"
            time.sleep(0.02)

    def text(self, element: str) -> str:
        """The text of the element with that id."""
        return str(self.value(f"document.getElementById({json.dumps(element)}).textContent"))

    def faint_texts(self) -> list[list[Any]]:
        """Visible texts with less than 4.5 to 1 between them and their ground, each with its ratio. WCAG 2.2, 1.4.3."""
        return list(self.value(FAINT_TEXTS))

    def press(self, *keys: str) -> None:
        """Press and let go of keys: `Tab`, `Enter`, `ArrowRight`, or one that writes its character."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
        for key in keys:
            code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            self._ask("Input.dispatchKeyEvent", type="keyDown", key=key, **code, **text)
            self._ask("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def write(self, text: str) -> None:
        """Write into what has the focus."""
        self._ask("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))
