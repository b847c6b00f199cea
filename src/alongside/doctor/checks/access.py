"""The daemon, its socket and its folders."""

from __future__ import annotations

from collections.abc import Iterator

from alongside.doctor.facts import Answer, Facts, Socket, seen
from alongside.doctor.finding import Finding, Seen, problem, warning

_LITTLE = 1 << 30  # bytes
_NONE = 200 << 20


def daemon(facts: Facts) -> Seen:
    answer = seen(facts.answer)
    return Seen.of(_daemon(answer), f"alongside {answer.version}, pid {answer.pid}")


def _daemon(answer: Answer) -> Iterator[Finding]:
    if answer.error:
        means = (
            "Nothing can be built, switched or rolled back. Ports that are routed go on reaching "
            "what they reach; nobody puts the table back if another program flushes it."
        )
        if "may not speak" in answer.error:
            yield problem(answer.error, "Only root can use alongside from here.", answer.hint)
        else:
            yield problem(
                answer.error,
                means,
                "Start it, and see in its log why it ended. --socket or ALONGSIDE_SOCKET names "
                "another daemon's socket.",
                "systemctl start alongside  # or: alongside daemon",
                "journalctl --unit alongside --since -10min",
            )
    elif answer.version != answer.ours:
        yield warning(
            f"The daemon is alongside {answer.version}, and this command {answer.ours}.",
            "What one of them has come to know the other may not.",
            "Restart the daemon; the ports go on meanwhile.",
            "systemctl restart alongside",
        )


def socket(facts: Facts) -> Seen:
    found = seen(facts.socket)
    mode = f"{found.path}, {found.mode:04o}, group {found.group}" if found.mode else found.path
    return Seen.of(_socket(found), mode)


def _socket(found: Socket) -> Iterator[Finding]:
    if found.mode & 0o007:
        yield problem(
            f"Everybody may use {found.path} (mode {found.mode:04o}).",
            "Every user of this host may do what root may: the daemon starts containers.",
            "Take it from others; restarting the daemon does, too.",
            f"chmod 0660 {found.path}",
        )
    if found.is_root:
        return
    if not found.has_group:
        yield problem(
            "There is no group alongside.",
            f"Only root may use {found.path}.",
            "Make it, put whom you trust as you trust root into it, restart the daemon, and log "
            "in again.",
            "sudo groupadd --system alongside",
            f"sudo usermod -aG alongside {found.user}",
            "sudo systemctl restart alongside",
        )
    elif not found.member:
        yield problem(
            f"{found.user} is not in the group alongside.",
            f"{found.user} may not use {found.path}.",
            "Put them into it, if you trust them as you trust root, and log in again.",
            f"sudo usermod -aG alongside {found.user}",
        )
    elif not found.in_session:
        yield problem(
            f"{found.user} is in the group alongside, and this session began before that.",
            f"This session may not use {found.path}.",
            "Log in again, or have a shell with the group.",
            "newgrp alongside",
        )


def state(facts: Facts) -> Seen:
    found = seen(facts.state)
    return Seen.of(_state(facts), f"{found.path}, {found.mode:04o}")


def _state(facts: Facts) -> Iterator[Finding]:
    found = seen(facts.state)
    if found.uid != 0:
        yield problem(
            f"{found.path} belongs to the user {found.uid}.",
            "They may change what root runs: compose files, addresses, linked files.",
            "Give it back to root.",
            f"chown root: {found.path}",
        )
    if found.mode & 0o077:
        yield problem(
            f"Others may look into {found.path} (mode {found.mode:04o}).",
            "It holds the files that repositories keep secret (.env).",
            "Take it from them; the daemon does so too when it starts.",
            f"chmod 0700 {found.path}",
        )


def space(facts: Facts) -> Seen:
    places = seen(facts.space)
    said = ", ".join(f"{_size(one.free)} free in {one.path}" for one in places)
    return Seen.of(_space(facts), said)


def _space(facts: Facts) -> Iterator[Finding]:
    for one in seen(facts.space):
        if one.free < _LITTLE:
            find = problem if one.free < _NONE else warning
            yield find(
                f"{_size(one.free)} of {_size(one.total)} are free in {one.path} ({one.of}).",
                "Builds fail when it is full, and no change can be written down, so none is made. "
                "The ports stay as they are.",
                "Make room; docker says what takes it. Images of releases are kept by name: what "
                "has none may go.",
                "docker system df",
                "docker image prune",
                "docker builder prune",
            )


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= _LITTLE else f"{size >> 20} MiB"
