"""Raw files and tables: from what is stored to rows of text."""
