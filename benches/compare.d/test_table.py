"""The arithmetic of the table: python3 -B -m unittest discover benches/compare.d"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

# pylint: disable=wrong-import-position
import profiles
import table


def result(target, microseconds, profile="webinar-50", generator=1.0, lost=0):
    packets = 100_000
    seconds = microseconds * packets / 1e6
    return {"target": target, "profile": profile, "kernelThreadSeconds": 0.0, "report": {"runs": [{
        "seconds": 10.0, "srtp": ["SRTP_AEAD_AES_128_GCM"],
        "server": {"userSeconds": seconds / 4, "systemSeconds": seconds * 3 / 4, "residentBytes": 20_000_000},
        "generator": {"userSeconds": generator, "systemSeconds": 0.0},
        "received": {"packets": packets}, "loss": {"lost": lost, "repaired": 0},
        "latency": {"p50": 0.5, "p99": 2.0}, "join": {"p50": 10.0, "p99": 20.0},
        "tracksReceived": 100, "tracksExpected": 100}]}}


class Table(unittest.TestCase):
    def test_medians_and_ratios(self):
        results = [result("limit", 2.0), result("janus", 12.0), result("crosspoint", 3.0),
                   result("crosspoint", 9.0), result("crosspoint", 2.5)]
        rows, notes = table.markdown(results, lambda name: profiles.find(name)[0])
        crosspoint = [cell.strip() for cell in rows.splitlines()[2].split("|")]
        self.assertEqual(crosspoint[1:8], ["webinar, 1 → 50, 1.5 Mbit/s", "crosspoint", "3.00 (2.50–9.00)",
                                           "0.75", "2.25", "1.50", "0.25"])
        self.assertEqual(crosspoint[8], "10000")
        self.assertEqual(notes, [])

    def test_the_summary_has_a_line_for_each_load_even_if_a_server_is_missing(self):
        results = [result("janus", 12.0), result("crosspoint", 3.0), result("crosspoint", 4.0, profile="audio")]
        lines = table.summary(results, lambda name: name).splitlines()[2:]
        cells = [[cell.strip() for cell in line.split("|")[1:7]] for line in lines]
        self.assertEqual(cells, [["webinar-50", "3.00", "12.00", "–", "0.25", "–"],
                                 ["audio", "4.00", "–", "–", "–", "–"]])

    def test_what_makes_a_figure_doubtful_is_said(self):
        _, notes = table.markdown([result("limit", 2.0, generator=9.5)], lambda name: name)
        self.assertIn("generator", notes[0])
        _, notes = table.markdown([result("janus", 99.0)], lambda name: name)
        self.assertIn("full", notes[0])

    def test_loss_is_a_share_of_what_was_to_come(self):
        figures = table.figures(result("limit", 2.0, lost=25_000))
        self.assertAlmostEqual(figures["loss"], 20.0)

    def test_a_server_that_nobody_could_look_at_has_no_processor_time(self):
        strange = result("janus", 1.0)
        strange["report"]["runs"][0]["server"] = None
        self.assertIsNone(table.figures(strange)["cpu"])
        table.markdown([strange], lambda name: name)

    def test_loads_are_found_by_name(self):
        self.assertIn("150", profiles.find("webinar-150")[1])
        for name in ("webinar", "webinar-0", "webinar-1000", "meetings", ""):
            self.assertIsNone(profiles.find(name))
        for name in profiles.DEFAULT:
            self.assertIsNotNone(profiles.find(name))


if __name__ == "__main__":
    unittest.main()
