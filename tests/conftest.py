"""What every test has in common: host tests run as root, or are left out and say so."""

from __future__ import annotations

import os
import shutil

import pytest

# What tests/host cannot do without. scripts/setup installs it.
_PROGRAMS = (
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("dockerd", "docker.io"),
    ("docker", "docker-cli"),
    ("mmdebstrap", "mmdebstrap"),
    ("zsh", "zsh"),
    ("fish", "fish"),
)
# Set (by .ci/run) where a host test that was not run is a failure.
_WANTED = "ALONGSIDE_HOST_TESTS"


def _missing() -> str:
    if os.geteuid() != 0:
        return "they need root"
    absent = [package for program, package in _PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist begins with the files that have the most tests. Those are the units; the hosts'
    # few long ones would then come last, and one of them alone for minutes. In the order of the
    # folders they come first, and the units fill what is left.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def _leave_to_the_soak(hosts: list[pytest.Item]) -> None:
    """Killed before a step a host is much as it is killed after the one before it: where a test
    dies at both moments of each step, one of them is for the soak."""
    faults: dict[pytest.Item, tuple[str, str]] = {}
    for item in hosts:
        callspec = getattr(item, "callspec", None)
        if callspec and "fault" in callspec.params:
            faults[item] = (item.nodeid.partition("[")[0], str(callspec.params["fault"]))
    there = set(faults.values())
    for item, (test, fault) in faults.items():
        step, _, moment = fault.partition(":")
        if moment == "before" and (test, f"{step}:after") in there:
            item.add_marker(pytest.mark.soak)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    hosts = [item for item in items if item.get_closest_marker("host")]
    _leave_to_the_soak(hosts)
    missing = _missing()
    if not hosts or not missing:
        return
    if os.environ.get(_WANTED) == "required":
        raise pytest.UsageError(f"{len(hosts)} host tests were to be run: {missing}")
    config.stash[_left_out] = f"{len(hosts)} host tests (tests/host) were left out: {missing}."
    for item in hosts:
        item.add_marker(pytest.mark.skip(reason=f"host tests: {missing}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "host" in getattr(report, "keywords", {}) or "tests/host/" in str(report.nodeid)
    ]
    left_out = terminalreporter.config.stash.get(_left_out, "")
    if left_out:
        terminalreporter.write_line(left_out, yellow=True)
    if skipped and os.environ.get(_WANTED) == "required":
        for report in skipped:
            terminalreporter.write_line(f"host test skipped, so failed: {report.nodeid}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(_WANTED) != "required" or reporter is None or exitstatus != 0:
        return
    if any("tests/host/" in str(report.nodeid) for report in reporter.stats.get("skipped", [])):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_left_out = pytest.StashKey[str]()
