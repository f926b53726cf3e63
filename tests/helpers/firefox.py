"""Firefox without a window. Playwright drives only a build of its own, so this speaks to the one that is installed.

What it says is WebDriver BiDi, https://www.w3.org/TR/webdriver-bidi.
"""

import json
import subprocess
import time
from pathlib import Path
from types import TracebackType

from websocket import create_connection

KEYS = {"ArrowRight": "\ue014", "ArrowLeft": "\ue012", "Home": "\ue011", "End": "\ue010", "Enter": "\ue007"}
"""Names of keys, and what https://www.w3.org/TR/webdriver2/#keyboard-actions calls them."""


class Firefox:
    """A browser with one tab.

    Attributes:
        errors: what the open page has thrown and nobody caught.
    """

    def __init__(self, path: str, profile: Path, patience: float = 60) -> None:
        self.errors: list[str] = []
        self._asked = 0
        command = [path, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(profile / "WebDriverBiDiServer.json", patience)
            self._socket = create_connection(f"ws://127.0.0.1:{port}/session", timeout=patience, suppress_origin=True)
            self.version = self.send("session.new", capabilities={})["capabilities"]["browserVersion"]
            self.send("session.subscribe", events=["log.entryAdded"])
            self._tab = self.send("browsingContext.getTree")["contexts"][0]["context"]
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def __enter__(self) -> "Firefox":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait()

    def send(self, method: str, **parameters: object) -> dict:
        """A command's result; what happens meanwhile is noted."""
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv())
            if told["type"] == "event":
                entry = told["params"]
                if entry["type"] == "javascript" and entry["level"] == "error":
                    self.errors.append(entry["text"])
            elif told["id"] == self._asked:
                assert told["type"] == "success", f"{method}: {told.get('error')}: {told.get('message')}"
                return told["result"]

    def goto(self, address: str) -> None:
        self.errors.clear()
        self.send("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def evaluate(self, expression: str) -> object:
        """What JavaScript makes of an expression in the page, or of what it promises, if JSON can tell it."""
        found = self.send(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then(JSON.stringify)",
            target={"context": self._tab},
            awaitPromise=True,
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"].get("value", "null"))

    def press(self, *names: str) -> None:
        """Keys, one after the other, on what has the focus."""
        steps = [{"type": kind, "value": KEYS[name]} for name in names for kind in ("keyDown", "keyUp")]
        keys = {"type": "key", "id": "keyboard", "actions": steps}
        self.send("input.performActions", context=self._tab, actions=[keys])


def _port(file: Path, patience: float) -> int:
    """Where a browser listens, once it has written that down."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            return json.loads(file.read_text(encoding="utf-8"))["ws_port"]
        except (OSError, ValueError):  # not yet, or not all of it
            time.sleep(0.05)
    raise TimeoutError(f"Firefox did not say within {patience:g} s where it listens")
