"""Training as C."""
