"""The browser that tests look through: Chromium or Chrome as installed, never one that is downloaded."""

import shutil

import pytest

BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome installed")
