"""What all tests may use."""

import pytest

pytest.register_assert_rewrite("helpers")  # so that an assertion in there shows its values, too


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training without C: the same step under vmap."""
    monkeypatch.setenv("NALU_ENGINE", "torch")
