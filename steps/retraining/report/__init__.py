"""A verdict on a page, in a note, in a line."""
