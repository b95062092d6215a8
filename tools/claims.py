"""Writes docs/claims.md: the verdict on each claim of the paper, from the records in results/.

python tools/claims.py            rewrites the table, and the summary in README.md
python tools/claims.py --check    exits with 1 if it is out of date
"""

import argparse
import functools
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from ascl_tf.config.paths import expanded_path  # noqa: E402
from tools.reproduction import claims_page  # noqa: E402
from tools.reproduction.grids import to_markdown  # noqa: E402
from tools.reproduction.presets import CPU  # noqa: E402
from tools.results_table import bring_up_to_date, with_table  # noqa: E402

BEGIN = "<!-- claims:begin (written by tools/claims.py) -->"
END = "<!-- claims:end -->"
SUMMARY_BEGIN = "<!-- claims-summary:begin (written by tools/claims.py) -->"
SUMMARY_END = "<!-- claims-summary:end -->"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--page", type=expanded_path, default=ROOT / "docs" / "claims.md")
    parser.add_argument("--readme", type=expanded_path, default=ROOT / "README.md")
    parser.add_argument("--results", type=expanded_path, default=ROOT / "results")
    arguments = parser.parse_args(argv)
    claims = claims_page.judge_all(arguments.results / CPU.name)
    table = to_markdown(claims_page.make_grid(claims, CPU.name))
    summary = claims_page.make_summary(claims)
    for page, text, begin, end in (
        (arguments.page, table, BEGIN, END),
        (arguments.readme, summary, SUMMARY_BEGIN, SUMMARY_END),
    ):
        renew = functools.partial(with_table, table=text, begin=begin, end=end)
        bring_up_to_date(page, renew, check=arguments.check)


if __name__ == "__main__":
    main()
