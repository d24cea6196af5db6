"""A first description of files that nobody has described yet, from a sample of their rows."""
