"""Check a report of the examples: every promise is kept but those that are known not to be; then say what to look at.

Usage: ``python expected.py REPORT.json MODELS BROKEN...``, with how many models were asked and the names of the tests
whose promises are not kept; exit code 0 when it is as expected.
"""

import json
import sys
from pathlib import Path


def main(path: str, models: str, *broken: str) -> int:
    report = Path(path)
    if not report.is_file():
        print(f"{report} is missing: the run did not come to its end.", file=sys.stderr)
        return 1
    verdicts = json.loads(report.read_text(encoding="utf-8"))["verdicts"]
    asked = {entry["model"]["name"] for entry in verdicts}
    odd = [
        f"{entry['nodeid']} ({entry['key']}): {entry['outcome']}"
        for entry in verdicts
        if (entry["outcome"] == "passed") == any(name in entry["nodeid"] for name in broken)
    ]
    if odd or len(asked) != int(models):
        print("Not as expected:", *(odd or [f"{len(asked)} models instead of {models}"]), sep="\n  ", file=sys.stderr)
        return 1
    print(
        f"As expected: {len(verdicts)} promises about {len(asked)} model{'s' if len(asked) > 1 else ''}, kept but for "
        f"{' and '.join(broken)}.\nThe failures above show how to read one; all numbers are in {report}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
