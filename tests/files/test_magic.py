"""Types by the first bytes: each against a file that something else wrote, where it can be had."""

import bz2
import gzip
import io
import json
import lzma
import os
import py_compile
import sqlite3
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plastorch.files.magic import BINARY, HEAD, SIGNATURES, kind, read_kind

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"


def archive(*members: str, mimetype: str = "") -> bytes:
    """A ZIP archive without a time: its bytes name a test, which has one name in every process."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        if mimetype:
            file.writestr(zipfile.ZipInfo("mimetype"), mimetype)
        for member in members:
            file.writestr(zipfile.ZipInfo(member), "content")
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("plain-text-name"))
    return buffer.getvalue()


def saved(form: str) -> bytes:
    buffer = io.BytesIO()
    if form == "npy":
        np.save(buffer, np.arange(3))
    elif form == "parquet":
        pl.DataFrame({"a": [1]}).write_parquet(buffer)
    elif form == "arrow":
        pl.DataFrame({"a": [1]}).write_ipc(buffer)
    else:
        Image.new("RGB", (9, 9)).save(buffer, form)
    return buffer.getvalue()


FORMATS = ("png", "jpeg", "gif", "tiff", "bmp", "webp", "ico", "pdf", "npy", "parquet", "arrow")


@pytest.mark.parametrize("form", FORMATS)
def test_what_libraries_write(form: str) -> None:
    assert kind(saved(form)[:HEAD]) == form


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (gzip.compress(b"x", mtime=0), "gzip"),
        (bz2.compress(b"x"), "bzip2"),
        (lzma.compress(b"x"), "xz"),
        (b"\x28\xb5\x2f\xfd\x04\x58", "zstd"),
        (tar(), "tar"),
        (archive("a.txt"), "zip"),
        (archive(), "zip"),
        (archive("META-INF/MANIFEST.MF", "a.class"), "jar"),
        (archive("[Content_Types].xml", "word/document.xml"), "office"),
        (archive("content.xml", mimetype="application/vnd.oasis.opendocument.text"), "office"),
        (archive("content.opf", mimetype="application/epub+zip"), "epub"),
        (archive("some-1.0.dist-info/WHEEL"), "wheel"),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x3d", "java"),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x02", "mach-o"),
        (b"#!/bin/sh\nexit", "script:sh"),
        (b"#! /usr/bin/perl5.36 -w\n", "script:perl"),
        (b"#!/usr/bin/env python3.11\n", "script:python"),
        (b"#!/usr/bin/env -S LANG=C node --flag\n", "script:node"),
        (b"#!/usr/bin/env", "script:env"),
        (b"#!/opt/7\n\x00", "script:7"),
        (b"#!/\n", "script:"),
        (b"#![feature(test)]\nfn main() {}", "text"),
        (b'<?xml version="1.0"?>\n<a/>', "xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "xml"),
        (b'<?xml version="1.0"?>\n<SVG>', "svg"),
        (b"<svg xmlns=''>", "svg"),
        (b"\n <!DOCTYPE html>", "html"),
        (b"<HTML lang=en>", "html"),
        (b'<?xml version="1.0"?><html xmlns="">', "html"),
        (b"<unknown>", "text"),
        (json.dumps({"a": [1]}, indent=1).encode(), "json"),
        (b"{}", "json"),
        (b"[1, 2]", "json"),
        (b"[ null ]", "json"),
        (b"[section]\na = 1", "text"),
        (b"[nullable]", "text"),
        (b"{ braces }", "text"),
        ("Grüße, κόσμε\n".encode(), "text"),
        ("Grüße\n".encode("latin-1"), "text-8bit"),
        ("Grüße\n".encode("utf-16"), "text-utf16"),
        (b"\x1b[1mbold\x1b[0m", "text"),
        (b"MZ is text here", "text"),
        (b"BMI by age", "text"),
        (b"MZ\x90\x00\x03", "pe"),
        (b"one\x00two", "binary"),
        (bytes(100), "binary"),
    ],
)
def test_types(content: bytes, expected: str) -> None:
    assert kind(content[:HEAD]) == expected


def test_signatures() -> None:
    for signature, expected in SIGNATURES.items():
        assert kind(signature) == expected
        assert kind(signature + bytes(40)) == expected
    for offset, signature, expected in BINARY:
        assert kind(bytes(offset) + signature + bytes(4)) == expected
    assert max(map(len, SIGNATURES)) <= HEAD


def test_system_files(tmp_path: Path) -> None:
    with open(sys.executable, "rb") as file:
        assert kind(file.read(HEAD)) in ("elf", "mach-o")
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    compiled = py_compile.compile(str(source), str(tmp_path / "module.pyc"))
    assert compiled and read_kind(compiled) == "pyc"
    with sqlite3.connect(tmp_path / "base") as base:
        base.execute("CREATE TABLE t (x)")
    base.close()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert read_kind("base", folder) == "sqlite"
        assert read_kind("module.py", folder) == "text"
    finally:
        os.close(folder)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=600))
def test_text_may_be_cut_anywhere(text: str) -> None:
    head = ("text: " + text).encode()[:HEAD]
    whole = len(head) == HEAD or len(head) == len(("text: " + text).encode())
    assert whole and kind(head) == "text"


def test_text_that_ends_within_a_character_is_not_utf8() -> None:
    assert kind("é".encode()[:1]) == "text-8bit"
    assert kind(b"a" * (HEAD - 1) + "é".encode()[:1]) == "text"


@given(st.binary(max_size=HEAD))
def test_any_bytes_have_a_type(head: bytes) -> None:
    assert kind(head).isascii()
    for start in (b"#!/", b"PK\x03\x04", b"\xa7\r\r\n", b"\xca\xfe\xba\xbe", b"<?xml", b"{"):
        assert kind((start + head)[:HEAD]).isascii()


def test_links_and_missing_files_are_refused_and_pipes_do_not_wait(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(sys.executable)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "missing"):
        with pytest.raises(OSError, match=name):
            read_kind(str(tmp_path / name))
    assert read_kind(str(tmp_path / "pipe")) == "empty"
