"""Chromium for tests, without a window: driven through the DevTools protocol over a pipe."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
]

COMPLAINTS = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


class Page:
    """A page that is open."""

    def __init__(self, folder, width, height):
        command = shutil.which("chromium") or "chromium"
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        flags = [*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', command, *flags, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._left = b""
        self._number = 0
        self.events = []
        self.expected = None
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.do(f"{domain}.enable")
        self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def do(self, method, **parameters):
        """Run a command of the protocol in the page."""
        return self._call(method, self._session, **parameters)

    def _call(self, method, session=None, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {} if session is None else {"sessionId": session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        while b"\0" not in self._left:
            chunk = os.read(self._in, 1 << 16)
            assert chunk, "the browser has ended"
            self._left += chunk
        text, _, self._left = self._left.partition(b"\0")
        return json.loads(text)

    def open(self, url):
        """Go to an address."""
        self.do("Page.navigate", url=url)

    def run(self, script):
        """Return the value of an expression in the page."""
        answer = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script, seconds=20):
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"it did not come true: {script}; {self.run('document.body.innerText')}")

    def press(self, key, *, text=None):
        """Press a key, as a person does."""
        codes = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        text = "\r" if key == "Enter" else text
        shown = {} if text is None else {"text": text}
        self.do("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **code, **shown)
        self.do("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, **code)

    def type(self, text):
        """Type a text where the focus is."""
        self.do("Input.insertText", text=text)

    def screenshot(self, path):
        """Keep a picture of the whole page."""
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.do("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def asked(self):
        """Return the addresses that the page has asked for."""
        self.run("1")  # takes in what has come
        requests = (event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [request["request"]["url"] for request in requests]

    def complaints(self):
        """Return what the console of the browser has been told, but for what holds the expected text."""
        self.run("1")
        told = [event["params"] for event in self.events if event.get("method") in COMPLAINTS]
        return [complaint for complaint in told if self.expected is None or self.expected not in json.dumps(complaint)]

    def close(self):
        """End the browser."""
        with contextlib.suppress(AssertionError, OSError):
            self._call("Browser.close")
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            os.close(self._out)
            os.close(self._in)


@contextlib.contextmanager
def page(folder, width=1280, height=900):
    """A page while it is open."""
    opened = Page(folder, width, height)
    try:
        yield opened
    finally:
        opened.close()
