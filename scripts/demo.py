"""The README's transcript, told as it happens. Run it by `make demo`."""

from __future__ import annotations

import shlex
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import ask
from support.host import Host, close_run
from support.installation import Installation, Repository, dns_files, load_images
from support.load import Load
from support.remains import sweep

BOLD, DIM, GREEN, RESET = ("\033[1m", "\033[2m", "\033[32m", "\033[0m")
if not sys.stdout.isatty():
    BOLD = DIM = GREEN = RESET = ""


def tell(text: str) -> None:
    print(f"\n{textwrap.fill(text, 96)}\n", flush=True)


class Story:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.alongside = Installation(host)
        self.repository: Repository | None = None

    def type(self, line: str) -> None:
        """A command as a person types it, and what it says."""
        print(f"{BOLD}$ {line}{RESET}", flush=True)
        assert self.repository is not None
        for part in line.split(" && "):
            program, *arguments = shlex.split(part)
            if program == "git":
                done = self.repository.git(*arguments)
            else:
                done = self.alongside(*arguments, cwd=self.repository.path)
            for said in (done.stderr + done.stdout).splitlines():
                if said.strip():
                    print(f"  {DIM if said.startswith('#') else ''}{said}{RESET}", flush=True)

    def ask(self, wanted: str) -> None:
        """A client on another machine asks, by every way, and says who answered."""
        client, host = self.host.client, self.host
        heard = set()
        for address in (host.address4, host.address6):
            for tcp in (False, True):
                (answer,) = ask.dns_query(client, address, "version.test", tcp=tcp)
                heard.add(answer)
                way = f"{address} port 53, {'TCP' if tcp else 'UDP'}"
                print(f"  {GREEN}{client.address4} asks {way}: Debian {answer}{RESET}", flush=True)
        if heard != {wanted}:
            raise SystemExit(f"The story went wrong: {wanted} should have answered, not {heard}.")

    def tell(self) -> None:
        tell("A host, 198.51.100.1, with an engine and a daemon; beside it a client, 198.51.100.2.")
        load_images(self.host, "dnsmasq-bookworm", "dnsmasq-trixie")
        self.alongside.start()
        self.repository = self.alongside.repository("resolver", dns_files("bookworm"), init=False)

        tell("A repository with a compose file: dnsmasq of Debian 12, 53/udp and 53/tcp.")
        self.type("alongside init")
        tell("From now on a tag is a release: an image, built from the tag's own tree.")
        self.type("git tag 1.0.0")
        self.type("alongside up dns@1.0.0")
        tell("It runs, and answers on its local ports. Port 53 is nobody's yet; now it is:")
        self.type("alongside activate dns@1.0.0")
        self.ask("bookworm")

        tell("The next version: dnsmasq of Debian 13.")
        self.repository.commit(dns_files("trixie"))
        self.type("git tag 1.1.0")
        self.type("alongside up dns@1.1.0")
        tell(
            "Both run side by side, and clients still reach the first. Now the switch, while two "
            "clients ask without a pause, a new connection for each question:"
        )
        with Load(
            self.host.client, "tcp", self.host.address4, 53, dialect="dns", workers=2
        ) as load:
            load.wait_for(300)
            self.type('alongside activate dns@1.1.0 -m "Debian 13"')
            load.wait_for(300)
            report = load.stop()
        answers = ", ".join(f"{n} by {name}" for name, n in sorted(report.versions.items()))
        print(
            f"  {GREEN}{len(report.answers)} questions answered ({answers}), "
            f"{len(report.failures)} lost{RESET}"
        )
        self.ask("trixie")
        self.type("alongside status")

        tell("And back, at once: the first version never stopped running.")
        self.type("alongside rollback dns")
        self.ask("bookworm")
        self.type("alongside history dns")


def main() -> None:
    sweep()
    try:
        with Host() as host:
            Story(host).tell()
    finally:
        close_run()
    tell("That was all of it. The namespaces, the engine and the state are gone again.")


if __name__ == "__main__":
    main()
