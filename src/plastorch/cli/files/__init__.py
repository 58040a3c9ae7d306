"""``plastorch files scan | fit | predict | watch | show | rules | page``."""

import warnings
from collections.abc import Callable
from typing import Any

from plastorch.cli.files import fit, page, predict, rules, scan, show, watch
from plastorch.cli.parse import parse
from plastorch.engine.errors import check_one_of, require

USAGE = """usage: plastorch files VERB ...

verbs:
  scan FOLDER --out catalog.parquet [--magic]
      writes metadata of a tree of files as a table
  fit CATALOG --label COLUMN --out MODEL
      learns classes, or with [--separator TEXT] several labels per record;
      shows a held-out score and baselines
  predict MODEL RECORDS --out labels.parquet [--engine ray]
          [--min-confidence 0.9 | --coverage 0.8]
      writes class, confidence and the keys that drove it
      [--sidecar json|xmp] [--write-xattr]
  watch MODEL FOLDER --store labels.sqlite
      labels files as they appear and change
  show SOURCE --out page.html
      writes a page on a model, a store or predictions: classes, counts,
      doubtful files
  rules MODEL RECORDS [--top 5] [--json]
      lists keys and values that favor each class
  page MODEL RECORDS --out page.html
      writes a page: classes, confidence, and the records to label next

CATALOG is a table, of files or of anything else with metadata: Parquet, CSV
(.csv, .tsv) or JSON lines (.jsonl). RECORDS are a catalog, or a folder, which
is scanned. plastorch files VERB --help shows all options."""


def files(arguments: list[str]) -> int:
    """Runs ``plastorch files VERB``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    verb, rest = arguments[0], arguments[1:]
    check_one_of(VERBS, VERB=verb)
    options, run, needed = VERBS[verb]
    given = parse(options, f"plastorch files {verb}", rest)
    for name in needed:
        require(name, "files")
    with warnings.catch_warnings():
        for start in ("records lack", "The number of unique classes"):  # the command says it itself
            warnings.filterwarnings("ignore", start)
        run(given)
    return 0


VERBS: dict[str, tuple[type, Callable[[Any], None], tuple[str, ...]]] = {
    "scan": (scan.Scan, scan.scan, ("polars",)),
    "fit": (fit.Fit, fit.fit, ("polars",)),
    "predict": (predict.Predict, predict.predict, ("polars",)),
    "watch": (watch.Watch, watch.watch, ("polars", "watchfiles")),
    "show": (show.Show, show.show, ("polars",)),
    "rules": (rules.Rules, rules.rules, ("polars",)),
    "page": (page.Page, page.page, ("polars",)),
}
