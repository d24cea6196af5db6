"""Retraining of Spark ML binary classifiers behind a paired champion/challenger gate."""
