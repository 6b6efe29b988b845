"""Drive headless Chromium with real keys and clicks, over the pipe of its DevTools protocol: no driver, no network."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-pipe", "--disable-extensions", "--mute-audio",
)  # fmt: skip

# Key -> what the protocol calls it, where that is not the letter itself.
CODES = {
    " ": ("Space", 32), "ArrowRight": ("ArrowRight", 39), "ArrowLeft": ("ArrowLeft", 37), "ArrowUp": ("ArrowUp", 38),
    "ArrowDown": ("ArrowDown", 40), "Tab": ("Tab", 9), "Enter": ("Enter", 13), "Escape": ("Escape", 27),
    "Delete": ("Delete", 46),
}  # fmt: skip


class Browser:
    """One page of a headless Chromium.

    Args:
        profile: Folder of its profile: what a page stores lies there, and is there again for the next Browser.
        downloads: Where downloads go.
        width, height: Of the page, CSS pixels.
        dark: The system's colour scheme.
    """

    def __init__(self, profile: Path, downloads: Path, width: int = 1280, height: int = 900, dark: bool = False):
        to_chromium, self._out = os.pipe()
        self._in, from_chromium = os.pipe()
        command = " ".join(["exec", '"$@"', f"3<&{to_chromium}", f"4>&{from_chromium}"])
        self.process = subprocess.Popen(
            ["bash", "-c", command, "chromium", str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_chromium, from_chromium), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_chromium)
        os.close(from_chromium)
        self._numbers, self._buffer, self.events = itertools.count(1), b"", []
        self._session: str | None = None
        target = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads), eventsEnabled=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Performance"):
            self.send(f"{domain}.enable")
        self.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        try:
            self.send("Browser.close")
            self.process.wait(20)
        except (OSError, subprocess.TimeoutExpired, TimeoutError):
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        os.close(self._out)

    def size(self, width: int, height: int) -> None:
        """Set the size of the page, CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; events that arrive meanwhile go to `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(60)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _receive(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise OSError("Chromium ended")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, page: Path) -> None:
        """Open a page from disk and wait until it is loaded."""
        self.send("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(f"Boolean({expression})"):
            assert time.monotonic() < until, f"never came true: {expression}"
            time.sleep(0.02)

    def press(self, *keys: str, shift: bool = False, control: bool = False) -> None:
        """Press keys one after the other."""
        for key in keys:
            code, number = CODES.get(
                key, (f"Key{key.upper()}" if key.isalpha() else f"Digit{key}", ord(key[0].upper()))
            )
            text = key if len(key) == 1 and not control else "\r" if key == "Enter" else ""
            common = {
                "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 * shift + 2 * control,
            }  # fmt: skip
            kind = "keyDown" if text else "rawKeyDown"
            self.send("Input.dispatchKeyEvent", type=kind, **common, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width, height of an element in the window."""
        return tuple(
            self.run(
                f"(() => {{ const one = document.querySelector({json.dumps(selector)}); "
                "one.scrollIntoView({block: 'nearest'}); const b = one.getBoundingClientRect(); "
                "return [b.left, b.top, b.width, b.height]; })()"
            )
        )

    def mouse(self, kind: str, x: float, y: float, shift: bool = False) -> None:
        """Send one event of the left button: mousePressed, mouseMoved or mouseReleased."""
        common = {"button": "left", "clickCount": 1, "buttons": 1, "modifiers": 8 * shift}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **common)

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Click into an element, at shares of its width and height."""
        left, top, width, height = self.box(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, left + x * width, top + y * height)

    def drag(self, selector: str, *points: tuple[float, float], shift: bool = False) -> None:
        """Drag over an element, from point to point."""
        left, top, width, height = self.box(selector)
        places = [(left + x * width, top + y * height) for x, y in points]
        self.mouse("mousePressed", *places[0], shift)
        for place in places[1:]:
            self.mouse("mouseMoved", *place, shift)
        self.mouse("mouseReleased", *places[-1], shift)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option, as its change event says it."""
        self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)}; "
            "one.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def problems(self) -> list[str]:
        """What the page complained of: exceptions, errors and warnings of the console, files not found."""
        self.run("1")
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(event["params"]["exceptionDetails"]["text"])
            if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
                found.append(event["params"]["entry"]["text"] + " " + event["params"]["entry"].get("url", ""))
        return found

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like, PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
