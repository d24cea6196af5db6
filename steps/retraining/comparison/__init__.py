"""Two models become the gate's evidence."""
