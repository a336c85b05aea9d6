"""The loads: what the generator is told for each profile."""

import re

DEFAULT = ["webinar-10", "webinar-50", "webinar-100", "webinar-150", "meeting", "audio", "one-to-one"]

FIXED = {
    "meeting": ("meeting, 8 × 8", ["--profile", "meeting", "--publishers", "8", "--subscribers", "8"]),
    "audio": ("audio, 10 → 200", ["--profile", "audio", "--publishers", "10", "--subscribers", "200"]),
    "one-to-one": ("one-to-one, 50 pairs", ["--profile", "one-to-one", "--rooms", "50"]),
}


def find(name):
    """A profile's words for people, and its arguments; None where there is none of this name."""
    webinar = re.fullmatch(r"webinar-([1-9][0-9]{0,2})", name)
    if webinar:
        count = webinar[1]
        return (f"webinar, 1 → {count}, 1.5 Mbit/s",
                ["--profile", "webinar", "--publishers", "1", "--subscribers", count,
                 "--video-bitrate", "1500000"])
    return FIXED.get(name)
