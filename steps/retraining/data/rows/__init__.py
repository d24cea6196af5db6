"""Which rows are valid, what they are called, and what their columns and labels are."""
