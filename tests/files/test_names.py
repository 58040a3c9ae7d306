"""Names as text: without loss, and only where it must differ."""

import os

from hypothesis import example, given
from hypothesis import strategies as st

from plastorch.files.names import escape, unescape

NAMES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.text("\\x5cefFe8é/", max_size=12).map(str.encode),
    st.lists(st.sampled_from([b"\\", b"x", b"5c", b"\\xff", b"\xff", b"\xc3", b"\xa9"])).map(
        b"".join
    ),
).map(os.fsdecode)


@given(NAMES)
@example("\\x5c")
@example("\\\\x5c")
@example("\\\udcff")
@example("\\x\udcff")
def test_names_come_back(name: str) -> None:
    text = escape(name)
    text.encode()  # valid UTF-8
    assert unescape(text) == name


@given(NAMES, NAMES)
def test_two_names_have_two_texts(first: str, second: str) -> None:
    assert (escape(first) == escape(second)) == (first == second)


@given(NAMES, NAMES)
def test_paths_are_escaped_part_by_part(first: str, second: str) -> None:
    assert escape(f"{first}/{second}") == f"{escape(first)}/{escape(second)}"


def test_usual_names_stay() -> None:
    for name in ("a b.txt", "naïve.tex", "文書", "system-\\x2d.slice", "back\\slash", "n\new", ""):
        assert escape(name) == name
    assert escape("caf\udce9") == "caf\\xe9"
    assert escape("caf\\xe9") == "caf\\x5cxe9"
