"""Seeing what the checks look at."""
