"""What the numbers were measured on."""

import os
import platform
import re


def describe():
    """{name: words}, for the heading of the table and for the JSON."""
    cpuinfo = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    cores = os.cpu_count() or 1
    virtual = " virtual machine" if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE) else " machine"
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.MULTILINE)
    return {
        "kind": f"{cores}-core{virtual}",
        "processor": model[1] if model else platform.machine(),
        "memory": f"{int(memory[1]) / 1e6:.0f} GB" if memory else "",
        "kernel": f"Linux {platform.release()}",
        "rmemMax": read("/proc/sys/net/core/rmem_max").strip(),
        "wmemMax": read("/proc/sys/net/core/wmem_max").strip(),
    }


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
