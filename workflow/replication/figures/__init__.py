"""Figures: one style, one module a figure."""
