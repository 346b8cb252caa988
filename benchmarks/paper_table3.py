"""The paper's Table 3 out of its Tables 5 and 6, by this project's own means over labels.

    python benchmarks/paper_table3.py ../shared/data/tiktok_annotations.csv     # a second; --quick is the same

Supports are those of the published annotations. Exits with 1 where a number differs by more than 0.02 that is not
among the exceptions (tikval/report/tables/published.yaml). The last line is one JSON object.
"""

import argparse
import json
import sys

import numpy as np

from tikval.report.tables.published import TOLERANCE, published, table_3_anew
from tikval.sources.labels import read_labels
from tikval.values import LABELS, SLUGS, binary


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", help="the published table")
    parser.add_argument("--quick", action="store_true", help="changes nothing: it takes a second")
    rows = read_labels(parser.parse_args().annotations, SLUGS, "schwartz-19")
    counts = np.array([binary(row["stances"]) for row in rows]).sum(0).tolist()

    paper = published()
    checks = table_3_anew(dict(zip(LABELS, counts, strict=True)))
    print(f"{'system':16}{'stance':12}{'mean':10}{'computed':>9}{'printed':>9}{'difference':>12}")
    for check in checks:
        off = check.computed - check.printed
        remark = "" if check.holds else f"  exception: {check.known}" if check.known else "  DIFFERS"
        place = f"{paper.systems[check.system].title:16}{check.stance:12}{check.mean:10}"
        print(f"{place}{check.computed:9.3f}{check.printed:9.2f}{off:+12.3f}{remark}")
    usual = [abs(check.computed - check.printed) for check in checks if not check.known]
    wrong = [check for check in checks if check.holds == bool(check.known)]
    print(
        json.dumps(
            {
                "videos": len(rows),
                "labels": len(paper.averaged),
                "numbers": len(checks),
                "exceptions": sum(check.known is not None for check in checks),
                "largest_difference_of_the_others": round(max(usual), 3),
                "tolerance": TOLERANCE,
            }
        )
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
