"""A PostgreSQL server of one's own on loopback: fresh, without durability, gone afterwards.

Debian's binaries are used (`apt-get install postgresql`); the server refuses to run as root, so root lends it the user
`postgres`. Its default collation is that of a language, not of bytes, as on most servers.
"""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def find_pg_ctl() -> str | None:
    """Path of `pg_ctl` of the newest installed version, if there is one."""
    found = glob.glob("/usr/lib/postgresql/*/bin/pg_ctl")
    return max(found, key=lambda path: int(Path(path).parts[-3])) if found else shutil.which("pg_ctl")


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server and give the address of its empty database `postgres`."""
    pg_ctl = find_pg_ctl()
    if pg_ctl is None:
        raise RuntimeError("there is no pg_ctl; apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        run(
            [str(Path(pg_ctl).with_name("initdb")), "-D", str(folder / "data"), "-U", "arcgym", "-E", "UTF8", "-N",
             "--auth=trust", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"],
            user, folder,
        )  # fmt: skip
        port = free_port()
        options = f"-p {port} -h 127.0.0.1 -k '' -c fsync=off -c max_connections=40 -c shared_buffers=32MB"
        start = [pg_ctl, "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start"]
        run(start, user, folder)
        try:
            yield f"postgresql://arcgym@127.0.0.1:{port}/postgres"
        finally:
            run([pg_ctl, "-D", str(folder / "data"), "-m", "immediate", "-w", "stop"], user, folder)
    finally:
        shutil.rmtree(folder)


def run(command: list[str], user: str | None, folder: Path) -> None:
    """Run a command of PostgreSQL's; its output is part of the error."""
    with open(folder / f"output-{Path(command[0]).name}", "w+") as output:  # a pipe would stay open in the server
        done = subprocess.run(command, user=user, group=user, cwd="/", stdout=output, stderr=subprocess.STDOUT)
        output.seek(0)
        if done.returncode:
            log = folder / "log"
            raise RuntimeError(f"{command[0]}: {output.read()}{log.read_text() if log.exists() else ''}")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
