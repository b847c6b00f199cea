"""What goes on in the daemon beside operations, put together."""

from __future__ import annotations

from alongside.daemon.collector import Collector
from alongside.daemon.context import Context
from alongside.daemon.follower import Follower
from alongside.daemon.healing import Healing
from alongside.daemon.retirement import Retirement
from alongside.daemon.watcher import Watcher


def attach(context: Context) -> Context:
    """The context with its watcher, its retirement, its follower, its collector and its healing."""
    context.watcher = Watcher(context)
    context.retirement = Retirement(context)
    context.follower = Follower(context)
    context.collector = Collector(context)
    context.healing = Healing(context)
    context.watcher.on_verdict += [context.follower.look, context.collector.look]
    return context
