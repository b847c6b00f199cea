"""The container engine: its API, and Compose."""
