"""What the browser tests share: an opened page, and waiting."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page

FRAME = ".widget-html:visible"  # what a flipbook shows: a figure, or a text


@dataclass
class Visit:
    """One opened page, and what went wrong on the way."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", lambda request: self.failed.append(f"{request.url}: {request.failure}"))
        self.page.on("response", lambda r: self.failed.append(f"{r.url}: {r.status}") if r.status >= 400 else None)
        self.page.on(
            "request", lambda request: self.foreign.append(request.url) if self.is_foreign(request.url) else None
        )

    def is_foreign(self, url: str) -> bool:
        return not url.startswith((self.address, "data:", "blob:"))


Visitor = Callable[..., Visit]  # (name, width=1280, scheme="light")


def eventually(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Wait until `condition` holds, and fail with `what` if it never does; it may raise OSError until then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds} s")
