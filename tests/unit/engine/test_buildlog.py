"""Logs as BuildKit wrote them: Compose 2.26 with the BuildKit of engine 20.10, and later ones."""

from alongside.domain.errors import BuildFailed
from alongside.engine.buildlog import KEPT, SHOWN, BuildLog

STEP = """\
#0 building with "default" instance using docker driver

#1 [dns internal] load build definition from Dockerfile
#1 transferring dockerfile: 99B done
#1 DONE 0.0s

#4 [dns 1/3] FROM docker.io/library/base:1
#4 CACHED

#5 [dns 2/3] RUN echo fine
#5 0.207 fine
#5 DONE 0.2s

#6 [dns 3/3] RUN make
#6 0.285 cc -c server.c
#6 0.286 server.c:3: error: expected ';'
#6 ERROR: executor failed running [/bin/sh -c make]: exit code: 3
------
 > [dns 3/3] RUN make:
0.285 cc -c server.c
0.286 server.c:3: error: expected ';'
------
failed to solve: executor failed running [/bin/sh -c make]: exit code: 3
"""

NEWER_STEP = """\
#7 [web 2/2] RUN false
#7 0.101 nothing good
#7 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1
------
 > [web 2/2] RUN false:
0.101 nothing good
------
Dockerfile:3

--------------------

   2 |     FROM base:1
   3 | >>> RUN false
--------------------

target web: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1
"""

# Compose 2.40 hands a build to buildx 0.29, which says no service where there is only one.
BAKED = """\
#1 [internal] load local bake definitions
#1 reading from stdin 512B done
#1 DONE 0.0s

#2 [internal] load build definition from Dockerfile
#2 transferring dockerfile: 99B done
#2 DONE 0.0s

#5 [1/3] FROM docker.io/library/base:1
#5 CACHED

#6 [2/3] RUN echo fine
#6 0.101 fine
#6 DONE 0.2s

#7 [3/3] RUN make
#7 0.285 cc -c server.c
#7 0.286 server.c:3: error: expected ';'
#7 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 3
------
 > [3/3] RUN make:
0.285 cc -c server.c
0.286 server.c:3: error: expected ';'
------
Dockerfile:3

--------------------

   1 |     FROM base:1
   2 |     RUN echo fine
   3 | >>> RUN make
--------------------

target dns: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 3

"""

BAKED_NO_BASE = """\
#1 [internal] load local bake definitions
#1 DONE 0.0s

#3 [internal] load metadata for docker.io/nosuch/image:1
#3 ERROR: failed to do request: Head "https://registry-1.docker.io/v2/": network is unreachable
------
 > [internal] load metadata for docker.io/nosuch/image:1:
------
Dockerfile:1

--------------------

   1 | >>> FROM nosuch/image:1
   2 |
--------------------

target dns: failed to solve: nosuch/image:1: failed to resolve source metadata for \
docker.io/nosuch/image:1: network is unreachable
"""

NO_BASE = """\
#3 [dns internal] load metadata for docker.io/nosuch/image:1
#3 ERROR: failed to do request: Head "https://registry-1.docker.io/v2/": network is unreachable
------
 > [dns internal] load metadata for docker.io/nosuch/image:1:
------
failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: \
failed to create LLB definition: failed to do request: Head "https://registry-1.docker.io/v2/": \
network is unreachable
"""

SYNTAX = """\
#3 [dns] resolve image config for docker.io/docker/dockerfile:1
#3 ERROR: failed to do request: network is unreachable
------
 > [dns] resolve image config for docker.io/docker/dockerfile:1:
------
failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: \
failed to solve with frontend gateway.v0: failed to do request: network is unreachable
"""


def failure(text: str) -> BuildFailed:
    log = BuildLog()
    for line in text.splitlines():
        log.feed(line)
    return log.failure(["dns"])


def test_the_failing_step_and_nothing_else_is_shown() -> None:
    error = failure(STEP)

    assert error.message == (
        "The image of dns did not build, at [dns 3/3] RUN make: "
        "executor failed running [/bin/sh -c make]: exit code: 3"
    )
    assert error.log == (
        "[dns 3/3] RUN make",
        "cc -c server.c",
        "server.c:3: error: expected ';'",
    )


def test_a_newer_buildkit_says_it_otherwise() -> None:
    error = failure(NEWER_STEP)

    assert error.message.endswith(
        'at [web 2/2] RUN false: process "/bin/sh -c false" did not complete successfully: '
        "exit code: 1"
    )
    assert error.log == ("[web 2/2] RUN false", "nothing good")


def test_a_step_without_its_service_is_said_with_the_service_s_name() -> None:
    error = failure(BAKED)

    assert error.message == (
        "The image of dns did not build, at [3/3] RUN make: "
        'process "/bin/sh -c make" did not complete successfully: exit code: 3'
    )
    assert error.log == ("[3/3] RUN make", "cc -c server.c", "server.c:3: error: expected ';'")
    missing = failure(BAKED_NO_BASE)
    assert "at [internal] load metadata for docker.io/nosuch/image:1: nosuch/image:1" in str(
        missing.message
    )
    assert "base image" in missing.hint


def test_of_several_images_the_one_that_failed_is_named() -> None:
    log = BuildLog()
    for line in BAKED.replace("target dns", "target worker").splitlines():
        log.feed(line)

    message = log.failure(["dns", "worker"]).message
    assert message.startswith("The image of worker did not build, at [3/3] RUN make: ")


def test_a_missing_base_image_is_named_with_a_remedy() -> None:
    error = failure(NO_BASE)

    assert "nosuch/image:1: failed to do request" in error.message
    assert "rpc error" not in error.message
    assert "base image" in error.hint


def test_a_syntax_line_that_needs_a_registry_is_named() -> None:
    assert "# syntax=" in failure(SYNTAX).hint


def test_compose_alone_may_refuse() -> None:
    error = failure("no such service: nosuch")

    assert error.message == "The image of dns did not build: no such service: nosuch"
    assert error.log == ("no such service: nosuch",)


def test_silence_is_said() -> None:
    assert "without a word" in failure("").message


def test_a_full_disk_is_said_to_be_one() -> None:
    said = "write /x: no space left on device"
    assert "disk is full" in failure(f"#1 [a 1/1] COPY . .\n#1 ERROR: {said}\n{said}").hint


def test_steps_side_by_side_are_kept_apart() -> None:
    error = failure(
        "#1 [a 1/1] RUN one\n#1 0.1 of one\n#2 [b 1/1] RUN two\n#2 0.1 of two\n"
        "#1 [a 1/1] RUN one\n#1 0.2 more\n#2 CANCELED\n#1 ERROR: exit code: 1\n"
        "failed to solve: exit code: 1"
    )

    assert error.log == ("[a 1/1] RUN one", "of one", "more")


def test_a_talkative_step_is_bounded() -> None:
    talk = "\n".join(f"#1 0.1 {number}" for number in range(2 * KEPT))
    error = failure(f"#1 [a 1/1] RUN yes\n{talk}\n#1 ERROR: exit code: 1")

    assert error.log[1:] == tuple(str(number) for number in range(2 * KEPT))[-SHOWN:]
