"""From raw files to train, validation and holdout."""
