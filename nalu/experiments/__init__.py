"""Experiments that take a unit, or a grid of settings, in one call."""
