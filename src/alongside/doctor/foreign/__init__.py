"""Packet rules of others: read, and followed as a packet of ours would go through them.

Rule 8 says that alongside lists nobody else's tables. This is the one exception, it only reads,
and only the doctor does it (docs/decisions/0030).
"""
