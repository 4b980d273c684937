"""The campaigns, for some seconds each."""

import subprocess
import sys

import pytest

from tests.campaigns.fuzz import fuzz


@pytest.mark.slow
def test_no_reader_is_broken_by_a_spoilt_file() -> None:
    counts, found = fuzz(20, seed=0)
    assert not found
    assert counts["inputs in all"] > 200


@pytest.mark.slow
def test_no_training_is_lost_when_it_is_broken_off() -> None:
    """In a process of its own, which forks: it has no other threads."""
    command = [sys.executable, "-m", "tests.campaigns", "kill", "--minutes", "0.3"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "findings: 0" in done.stdout, done.stdout + done.stderr
    assert "ended the same, to the bit: " in done.stdout
