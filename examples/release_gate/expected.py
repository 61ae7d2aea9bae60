"""Check the demo's report: every promise kept but the two that are known to be broken; then say what to look at.

Usage: ``python expected.py REPORT.json``; exit code 0 when it is as expected.
"""

import json
import sys
from pathlib import Path

BROKEN = ("test_knows_democrats_as_well_as_a_survey_would", "test_steering_brings_it_closer")


def main(path: str) -> int:
    report = Path(path)
    if not report.is_file():
        print(f"{report} is missing: the run did not come to its end.", file=sys.stderr)
        return 1
    verdicts = json.loads(report.read_text(encoding="utf-8"))["verdicts"]
    models = {entry["model"]["name"] for entry in verdicts}
    odd = [
        f"{entry['nodeid']} ({entry['key']}): {entry['outcome']}"
        for entry in verdicts
        if entry["outcome"] != ("failed" if any(name in entry["nodeid"] for name in BROKEN) else "passed")
    ]
    if odd or len(models) != 2:
        print("Not as expected:", *(odd or [f"{len(models)} models instead of 2"]), sep="\n  ", file=sys.stderr)
        return 1
    print(
        f"As expected: {len(verdicts)} promises about {len(models)} models, kept but for {' and '.join(BROKEN)}.\n"
        f"The failures above show how to read one; all numbers are in {report}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
