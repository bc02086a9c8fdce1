"""One page in a browser, as a person has it: seen, clicked, typed to, and printed."""

import base64
import json
from pathlib import Path
from typing import Any

from devtools import Browser, file_url

_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    " ": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}


class Page:
    """A tab. `evaluate` runs a JavaScript expression and returns its value as JSON has it."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self._target = target
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **params)

    def open(self, path: Path, *, fragment: str = "", scripts: bool = True) -> "Page":
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._browser.events.clear()
        self.send("Page.navigate", url=file_url(path) + fragment)
        self._browser.wait_for("Page.loadEventFired", self._session)
        return self

    def close(self) -> None:
        self._browser.send("Target.closeTarget", targetId=self._target)
        self._browser.events.clear()

    def look(self, width: int = 1280, height: int = 900, scheme: str = "light") -> "Page":
        """Set the window's size, and what the person prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])
        return self

    def evaluate(self, expression: str) -> Any:
        done = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    def press(self, key: str) -> None:
        code, text = _KEYS[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        kind = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=kind, text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector: str, *, across: float = 0.5) -> None:
        """Click an element: `across` is how far from its left edge, as a share of its width."""
        x, y = self.evaluate(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: "center", behavior: "instant"}});
              const box = element.getClientRects()[0];
              return [box.x + {across} * box.width, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            held = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def focus(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")

    def has_focus(self, selector: str) -> bool:
        found: bool = self.evaluate(f"document.activeElement.matches({json.dumps(selector)})")
        return found

    def complaints(self) -> list[str]:
        """What the console has got: errors, warnings, and exceptions."""
        found = []
        for event in self._browser.events:
            params = event["params"]
            match event["method"]:
                case "Runtime.consoleAPICalled":
                    found.append(json.dumps([a.get("value") for a in params["args"]]))
                case "Runtime.exceptionThrown":
                    found.append(json.dumps(params["exceptionDetails"]))
                case "Log.entryAdded":
                    found.append(params["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses of what the page has asked for, without those that hold their own content."""
        urls = [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def print_pdf(self) -> bytes:
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def screenshot(self, path: Path, selector: str = "body") -> None:
        """Save what an element looks like: for people, no test compares it."""
        self.send("Emulation.setScrollbarsHidden", hidden=True)
        box = self.evaluate(
            f"""(() => {{
              const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
              return {{x: box.x + scrollX, y: box.y + scrollY, width: box.width,
                height: box.height, scale: 1}};
            }})()"""
        )
        shot = self.send("Page.captureScreenshot", clip=box, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
