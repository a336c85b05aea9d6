"""The servers that are compared: how each is started, and where the generator finds it."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from lab import SERVER_ADDRESS, LabError, wait_for_line

HERE = pathlib.Path(__file__).parent
START_SECONDS = 20


class Server:
    """A running server."""

    def __init__(self, process, arguments):
        self.process = process
        # What the generator must be told to drive it.
        self.arguments = [*arguments, "--pid", str(process.pid)]


class Crosspoint:
    name = "crosspoint"

    def __init__(self, binary):
        self.binary = binary

    def prepare(self):
        pass

    def version(self):
        told = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        return told.stdout.strip().replace("crosspoint", "Crosspoint") + ", --shards 1"

    def start(self, lab, log):
        process = lab.start("server", [
            self.binary, "--listen", f"{SERVER_ADDRESS}:8080", "--udp-port", "7880", "--shards", "1",
            "--max-sockets-per-address", "2000", "--max-participants", "1000", "--max-joins-per-second", "10000",
            "--max-messages-per-second", "10000", "--max-sdp-bytes", "262144", "--loudest", "0", "--log", "warn"], log)
        wait_for_line(process, r"open http", START_SECONDS, "Crosspoint")
        return Server(process, ["--target", "crosspoint", "--url", f"ws://{SERVER_ADDRESS}:8080/ws"])


class Janus:
    name = "janus"
    port = 8188

    def __init__(self, event_loops):
        self.event_loops = event_loops

    def prepare(self):
        if not shutil.which("janus"):
            install("janus")

    def version(self):
        told = subprocess.run(["janus", "--version"], capture_output=True, text=True, check=False)
        words = (told.stdout + told.stderr).split()
        package = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "janus"],
                                 capture_output=True, text=True, check=False).stdout.strip()
        version = f"Debian {package}" if package else (words[-1] if words else "of unknown version")
        loops = self.event_loops or "one for each peer connection"
        return f"Janus {version}, videoroom, event loops: {loops}"

    def start(self, lab, log):
        folder = tempfile.mkdtemp(prefix="janus-", dir=lab.files.name)
        values = {"CONFIGS": folder, "LIBRARIES": libraries(), "PORT": str(self.port),
                  "EVENT_LOOPS": str(self.event_loops)}
        for template in (HERE / "janus").glob("*.jcfg"):
            text = template.read_text(encoding="utf-8")
            for key, value in values.items():
                text = text.replace(f"@{key}@", value)
            (pathlib.Path(folder) / template.name).write_text(text, encoding="utf-8")
        process = lab.start("server", ["janus", "-F", folder], log)
        wait_for_line(process, r"WebSockets thread started", START_SECONDS, "Janus")
        return Server(process, ["--target", "janus", "--url", f"ws://{SERVER_ADDRESS}:{self.port}"])


class Limit:
    name = "limit"

    def __init__(self, binary):
        self.binary = binary

    def prepare(self):
        pass

    def version(self):
        return "limit: a bare forwarder (receive, AES-128-GCM, send in segments)"

    def start(self, lab, log):
        process = lab.start("server", [
            self.binary, "load", "--limit-listen", f"{SERVER_ADDRESS}:7900"], log)
        wait_for_line(process, r":7900", START_SECONDS, "the bare forwarder")
        return Server(process, ["--limit", "--url", f"udp://{SERVER_ADDRESS}:7900"])


def libraries():
    """Where Debian keeps Janus's plugins."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/janus/plugins/libjanus_videoroom.so"))
    if not found:
        raise LabError("Janus has no videoroom plugin under /usr/lib: apt-get install --reinstall janus")
    return str(found[0].parent.parent)


def install(package):
    """Installs a Debian package without letting it start a service."""
    if not shutil.which("apt-get"):
        raise LabError(f"{package} is missing, and there is no apt-get to install it")
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    try:
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
            policy.chmod(0o755)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"],
                        ["apt-get", "install", "-y", "--no-install-recommends", package]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LabError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    finally:
        if ours:
            policy.unlink(missing_ok=True)
    # Its package would start it with the machine from now on.
    if shutil.which("systemctl"):
        subprocess.run(["systemctl", "disable", "--now", package], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
