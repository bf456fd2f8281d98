"""Real database servers for tests and benchmarks: PostgreSQL and MariaDB in folders of their own.

Each is started on a free port of this host from the programs that Debian's packages bring
(`apt-get install postgresql mariadb-server`), as an unprivileged user when root runs the tests.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

PASSWORD = "hunter2-s3cret"


class MissingServerError(Exception):
    """The program of a server is not on this machine; the text says how to get it."""


class Server:
    """A running server; `new_database` gives the URL of a fresh database on it."""

    def __init__(self, scheme, user, command, folder):
        self.scheme, self.user, self.folder = scheme, user, folder
        self.port = free_port()
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command(self.port), stdout=log, stderr=log, start_new_session=True, **account()
            )

    def url(self, database):
        return f"{self.scheme}://{self.user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self):
        name = f"lineage_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement, database=None):
        with self.connect(database) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.execute("SELECT 1")
            except Exception as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"{self.scheme} did not start: {error}\n{log}") from error
                time.sleep(0.1)

    def processes(self):
        """Give the ids of the server's processes, its children included."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, task.read_text().split())
        return found

    def hang(self):
        """Stop every process of the server: it answers nothing, and refuses nothing."""
        self.send(signal.SIGSTOP)

    def go_on(self):
        self.send(signal.SIGCONT)

    def send(self, number):
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.send(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    def __init__(self, *, safe=False):
        programs = postgres_programs()
        folder = own_folder("postgres")
        data, secret = folder / "data", folder / "secret"
        secret.write_text(PASSWORD)
        shutil.chown(secret, **owner())
        run(
            [
                *(programs / "initdb", "-D", data, "-U", "tracker", "--pwfile", secret),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"),
            ]
        )
        settings = [] if safe else ["-F"]
        super().__init__(
            "postgresql",
            "tracker",
            lambda port: [
                *(programs / "postgres", "-D", data, "-p", str(port), "-k", folder),
                *("-c", "listen_addresses=127.0.0.1", *settings),
            ],
            folder,
        )
        self.wait_until_ready()

    def connect(self, database=None):
        import psycopg

        url = self.url(database or "postgres")
        return psycopg.connect(url, autocommit=True, connect_timeout=5)


class MariaDB(Server):
    def __init__(self, *, safe=False):
        install = program("mariadb-install-db", "mariadb-server")
        server = program("mariadbd", "mariadb-server")
        folder = own_folder("mariadb")
        data, start = folder / "data", folder / "start.sql"
        start.write_text(
            f"CREATE USER tracker@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
            "\nGRANT ALL ON *.* TO tracker@'127.0.0.1';\n"
        )
        shutil.chown(start, **owner())
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        run(
            [
                *(install, *common, "--auth-root-authentication-method=normal"),
                *("--skip-test-db", "--innodb-flush-log-at-trx-commit=0"),
            ]
        )
        settings = [] if safe else ["--innodb-flush-log-at-trx-commit=0"]
        super().__init__(
            "mariadb",
            "tracker",
            lambda port: [
                *(server, *common, f"--port={port}", "--bind-address=127.0.0.1"),
                *(f"--socket={folder}/socket", f"--init-file={start}", "--skip-name-resolve"),
                *(f"--pid-file={folder}/pid", *settings),
            ],
            folder,
        )
        self.wait_until_ready()

    def connect(self, database=None):
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=PASSWORD,
            database=database,
            autocommit=True,
            connect_timeout=5,
        )


def postgres_programs():
    """Give the folder of initdb and postgres: Debian keeps them out of PATH."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise MissingServerError("no initdb and postgres here; apt-get install postgresql")


def program(name, package):
    path = shutil.which(name, path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))
    if path is None:
        raise MissingServerError(f"no {name} here; apt-get install {package}")
    return path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def own_folder(name):
    folder = Path(tempfile.mkdtemp(prefix=f"lineage-{name}-"))
    shutil.chown(folder, **owner())
    return folder


def owner():
    """Say who shall own a server's files: root may not run one."""
    return {"user": "nobody"} if os.geteuid() == 0 else {"user": os.geteuid()}


def account():
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **account())
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")
