"""The same for more rows than the driver holds."""
