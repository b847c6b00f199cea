"""A plan in words, for people."""

from __future__ import annotations

from alongside.plan.steps import (
    Allocate,
    AwaitReady,
    CleanUdp,
    Forget,
    LoadImage,
    OpenTrial,
    Pause,
    Plan,
    PrepareSingleton,
    RecordAssignments,
    RecordRoutes,
    RecordSingleton,
    Remove,
    RemoveRelease,
    ReplaceSingleton,
    RunBefore,
    Start,
    StartShared,
    Step,
    Stop,
    Switch,
    TidySingleton,
    Wake,
)


def describe(step: Step) -> str:  # noqa: PLR0911, PLR0912 - a table
    """One step as one line."""
    match step:
        case Allocate(instance):
            ports = ", ".join(
                f"127.0.0.1:{local.number} for {local.target}/{local.protocol}"
                for local in instance.local_ports
            )
            return f"give {instance.name} {instance.subnet.address4}" + (
                f", {ports}" if ports else ""
            )
        case StartShared(release, services):
            return f"start what versions of {release.repository} share: {', '.join(services)}"
        case LoadImage(release):
            return f"load the image of {release.reference} from its archive"
        case RunBefore(release, _):
            return f"run what is to run before {release.reference} has the ports"
        case Wake(instance):
            return f"wake {instance.name}"
        case Start(_, instance):
            return f"start {instance.name}"
        case AwaitReady(release, instance):
            return f"wait until {instance.name} is ready ({release.spec.ready.kind})"
        case RecordRoutes(service, routes, _):
            if not routes:
                return f"take its ports from {service}"
            return "; ".join(
                f"route {route.port} to "
                + ", ".join(
                    f"{service}@{share.version}"
                    + (f" ({share.weight})" if len(route.split.shares) > 1 else "")
                    for share in route.split.shares
                )
                for route in routes
            )
        case RecordAssignments(ports, assignments, _):
            if not assignments:
                return "take back " + ", ".join(map(str, ports))
            return "; ".join(f"assign {one.port} to {one.target}" for one in assignments)
        case Switch():
            return "commit to the kernel, as one transaction"
        case CleanUdp():
            return "move the UDP flows"
        case OpenTrial(release, seconds):
            return f"begin a trial of {release.reference}, {seconds:g} s long"
        case PrepareSingleton(release, instance):
            return f"make {instance.name} of {release.reference}, without starting it"
        case RecordSingleton(service, old, new, _, _):
            if new is None:
                return f"no version of {service} is to run"
            return f"{service}@{new.version} is to run" + (
                f" in place of {service}@{old.version}" if old and old != new else ""
            )
        case ReplaceSingleton(service):
            return f"end and remove what runs of {service}, then start what is to"
        case TidySingleton(service):
            return f"remove what is left of other versions of {service}"
        case Pause(instance):
            return f"pause {instance.name}"
        case Stop(instance):
            return f"stop {instance.name}"
        case Remove(_, instance, volumes):
            return f"remove {instance.name}" + (" and its volumes" if volumes else "")
        case RemoveRelease(release):
            return f"remove the image and the tree of {release.reference}"
        case Forget(instance):
            return f"give back {instance.subnet.ipv4} and the local ports of {instance.name}"


def lines(plan: Plan) -> list[str]:
    if not plan.steps:
        return [plan.reason, *plan.notes]
    return [*(f"{n}. {describe(step)}" for n, step in enumerate(plan.steps, 1)), *plan.notes]
