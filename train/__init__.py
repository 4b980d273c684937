"""Training: see `python -m train --help`."""

SEEDS = 1 << 20  # seeds lie below; the streams of fine-tuning begin here, so that no pretraining has read their games
