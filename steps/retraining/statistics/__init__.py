"""Arrays in, a record out: metrics, influence values, paired tests and intervals."""
