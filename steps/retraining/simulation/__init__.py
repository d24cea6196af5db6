"""Card transactions to try the chain on."""
