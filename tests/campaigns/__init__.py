"""Long campaigns that break things on purpose: `python -m tests.campaigns kill|fuzz --minutes N`."""
