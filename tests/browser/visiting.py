"""A page of the site as a browser shows it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page


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
