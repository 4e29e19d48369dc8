"""Says which build is under test and refuses to test another one than was asked for; shared fixtures."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from hatmanifesto import build

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = REPOSITORY / "src" / "hatmanifesto"
SHARED = Path(os.environ.get("HAT_SHARED") or REPOSITORY.parent / "shared")
"""Recorded data beside the repository; not part of it."""

settings.register_profile(
    "hat", deadline=None, print_blob=True, derandomize=os.environ.get("CI", "").lower() in {"1", "true"}
)
settings.load_profile("hat")


def wrong_build() -> str | None:
    """Why the loaded build must not be tested, with the remedy; None when it is the right one."""
    expected = os.environ.get("HAT_EXPECT_BUILD")
    if expected and expected != build.mode():
        return (
            f"HAT_EXPECT_BUILD={expected}, but the {build.mode()} build in {build.PACKAGE} is loaded. "
            "Compiled: `make setup`, and no PYTHONPATH. Interpreted: PYTHONPATH=src, and no *.so under src/."
        )
    try:
        build.check()
    except build.StaleBuildError as error:
        return str(error)
    if build.package_hash() != build.package_hash(SOURCES):
        return f"{build.PACKAGE} was not installed from the sources in this checkout. Run `make setup`."
    return None


def pytest_configure(config: pytest.Config) -> None:
    problem = wrong_build()
    if problem:
        raise pytest.UsageError(problem)


def pytest_report_header(config: pytest.Config) -> str:
    note = " with the overflow sanitizer" if build.info().get("sanitized") else ""
    return f"hatmanifesto: {build.mode()} build{note} on {build.python()}, sources {build.source_hash()}"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of recorded data; a test that asks for it is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs the recorded data in ../shared (or HAT_SHARED), which is not here")
    return SHARED
