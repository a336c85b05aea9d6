"""Where a server's time goes: perf's samples of it as text."""

import pathlib
import shutil
import subprocess

from lab import LabError

# Symbols that are written down.
TOP = 45
SAMPLES_A_SECOND = 499


def check():
    if not shutil.which("perf"):
        raise LabError("perf is missing: apt-get install linux-perf, or leave --profile-cpu out")


class Recording:
    """Samples one process until it is stopped, beginning after a delay."""

    def __init__(self, lab, pid, delay):
        self.data = pathlib.Path(lab.files.name) / f"perf-{pid}.data"
        self.process = subprocess.Popen(
            ["taskset", "-c", str(lab.cores["generator"]), "perf", "record", "--quiet",
             "--freq", str(SAMPLES_A_SECOND), "--delay", str(int(delay * 1000)),
             "--pid", str(pid), "--output", str(self.data)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        lab.processes.append(self.process)

    def stop(self, lab):
        """Ends it and returns the report."""
        # perf writes its file at SIGINT.
        if self.process.poll() is None:
            self.process.send_signal(2)
        _, told = self.process.communicate(timeout=60)
        lab.processes.remove(self.process)
        parts = []
        for title, sort in (("By module", "dso"), ("By symbol", "dso,symbol")):
            report = subprocess.run(
                ["perf", "report", "--stdio", "--quiet", "--no-children", "--percent-limit", "0.3",
                 "--sort", sort, "--input", str(self.data)],
                capture_output=True, text=True, check=False)
            lines = [line.rstrip() for line in report.stdout.splitlines() if line.strip()]
            if not lines:
                raise LabError(f"perf recorded nothing: {(report.stderr or told).strip()[-300:]}")
            parts.append("\n".join([f"{title}:", *lines[:TOP]]))
        return "\n\n".join(parts) + "\n"
