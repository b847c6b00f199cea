"""Many versions of a container side by side on one host."""

__version__ = "0.1.0"
