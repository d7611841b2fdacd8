"""Figures: one style, one function a figure, found by name in :mod:`tempbalance.plots.registry`."""
