"""Two network namespaces joined by a veth pair, and the processes that run in them.

Everything that is made here is taken away again by close(), whatever happened.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading

SERVER_ADDRESS = "10.77.0.1"
GENERATOR_ADDRESS = "10.77.0.2"


class LabError(Exception):
    """Something that the comparison needs is not there; says what to do."""


class Lab:
    """The namespaces. One for the server, one for the generator, each pinned to a core."""

    def __init__(self, server_core, generator_core):
        self.cores = {"server": server_core, "generator": generator_core}
        names = f"xp-compare-{os.getpid()}"
        self.namespaces = {"server": f"{names}-s", "generator": f"{names}-g"}
        self.made = []
        self.processes = []
        self.files = tempfile.TemporaryDirectory(prefix="crosspoint-compare-")

    def open(self):
        for name in self.namespaces.values():
            run(["ip", "netns", "add", name])
            self.made.append(name)
        server, generator = self.namespaces["server"], self.namespaces["generator"]
        run(["ip", "-n", server, "link", "add", "veth0", "type", "veth",
             "peer", "name", "veth0", "netns", generator])
        for name, address in ((server, SERVER_ADDRESS), (generator, GENERATOR_ADDRESS)):
            run(["ip", "-n", name, "address", "add", f"{address}/24", "dev", "veth0"])
            for device in ("lo", "veth0"):
                run(["ip", "-n", name, "link", "set", device, "up"])

    def start(self, place, command, log=None):
        """Starts a command in a namespace, on its core, and returns the process: its id is the command's own."""
        full = ["taskset", "-c", str(self.cores[place]),
                "ip", "netns", "exec", self.namespaces[place], *command]
        process = subprocess.Popen(
            full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL, text=True, errors="replace")
        self.processes.append(process)
        return process

    def stop(self, process):
        """Ends a process, at first kindly."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
        if process in self.processes:
            self.processes.remove(process)

    def offloads(self):
        """The offloads of the veth pair that matter here, as they are by default."""
        command = ["ip", "netns", "exec", self.namespaces["server"], "ethtool", "-k", "veth0"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return "offloads at the kernel's defaults for veth (ethtool, which would list them, is not installed)"
        wanted = ("tx-checksumming", "generic-segmentation-offload", "generic-receive-offload",
                  "tx-udp-segmentation")
        found = [re.sub(r"\s+", " ", line.strip()) for line in told.splitlines()
                 if line.strip().startswith(wanted)]
        return "; ".join(found)

    def close(self):
        for process in list(self.processes):
            self.stop(process)
        for name in self.made:
            subprocess.run(["ip", "netns", "delete", name], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.made = []
        self.files.cleanup()


def wait_for_line(process, pattern, seconds, what):
    """Reads the process's output until a line matches, and goes on reading, so that it never blocks."""
    found = threading.Event()
    result = []
    seen = []

    def read():
        for line in process.stdout:
            if not found.is_set():
                seen.append(line)
                match = re.search(pattern, line)
                if match:
                    result.append(match)
                    found.set()
        found.set()

    threading.Thread(target=read, daemon=True).start()
    found.wait(seconds)
    if not result:
        told = "".join(seen[-15:]).strip() or "nothing"
        raise LabError(f"{what} did not start within {seconds} s; it said: {told}")
    return result[0]


def run(command):
    """Runs a short command, and says what it said if it fails."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is missing: apt-get install iproute2 util-linux") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"{' '.join(command)}: {error.stderr.strip()}") from error


def end_on_signals():
    """SIGTERM and SIGHUP end the program as Ctrl-C does, so that everything is taken away."""
    def end(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def processor_seconds(pid):
    """What a process or kernel thread has used so far, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


