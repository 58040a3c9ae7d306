"""CITATION.bib lists the papers of CITATION.cff."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_both_files_have_the_same_papers() -> None:
    papers = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    entries = (ROOT / "CITATION.bib").read_text().split("\n\n")
    assert len(entries) == len(papers) == 8
    for paper, entry in zip(papers, entries, strict=True):
        told = dict(re.findall(r"(\w+) = \{+(.*?)\}+,\n", entry))
        assert told["title"] == paper["title"] and told["year"] == str(paper["year"])
        names = [f"{each['family-names']}, {each['given-names']}" for each in paper["authors"]]
        assert told["author"].split(" and ") == names
        assert f"arXiv:{told['eprint']}" == paper["identifiers"][0]["value"]
