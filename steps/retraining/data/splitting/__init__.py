"""Rows of days cut into train, validation and holdout."""
