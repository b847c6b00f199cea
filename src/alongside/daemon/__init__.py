"""The daemon: the only writer. API, operations, the executor and the reconciler."""
