"""Figures: one style, and one module for each kind of figure."""
