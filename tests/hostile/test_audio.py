"""Recordings: WAV headers that lie, samples that are no numbers, lists that are no text."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from plastorch.data.audio.recordings import load_speech
from plastorch.data.audio.wav import read_wav

RATE = 8000


def wav(data: bytes, kind: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block % 2**32, block % 2**16, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


GENUINE = {
    "16 bits": wav(bytes(range(200))),
    "24 bits, 2 channels": wav(bytes(range(120)), channels=2, bits=24),
    "floats": wav(struct.pack("<20f", *range(20)), kind=3, bits=32),
    "doubles": wav(struct.pack("<20d", *range(20)), kind=3, bits=64),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audio")


@pytest.mark.parametrize("kind", GENUINE)
@given(data=st.data(), rate=st.sampled_from([None, 16_000]))
def test_damaged(
    damaged: Any, survives: Any, folder: Path, kind: str, data: Any, rate: int | None
) -> None:
    (folder / "a.wav").write_bytes(damaged(data, GENUINE[kind]))
    found = survives(read_wav, folder / "a.wav", rate)
    assert found is None or bool(torch.isfinite(found.samples).all())


LIES = {
    "no channels": wav(b"ab", channels=0),
    "65535 channels": wav(bytes(200), channels=65535),
    "rate 0": wav(b"ab", rate=0),
    "rate 4 GHz": wav(b"ab", rate=2**32 - 1),
    "0 bits": wav(b"ab", bits=0),
    "65535 bits": wav(b"ab", bits=65535),
    "unknown coding": wav(b"ab", kind=85),
    "endless samples": wav(b"ab")[:40] + b"\xff\xff\xff\xff" + b"ab",
    "endless format": wav(b"ab")[:16] + b"\xff\xff\xff\xff" + wav(b"ab")[20:],
    "nothing": b"",
    "not finite": wav(struct.pack("<2f", float("nan"), 0), kind=3, bits=32),
    "infinite": wav(struct.pack("<2d", float("inf"), float("-inf")), kind=3, bits=64),
    "too large for floats": wav(struct.pack("<2d", 1e300, -1e300), kind=3, bits=64, channels=2),
    "of many small chunks": wav(b"ab")[:12] + (b"note" + bytes(4)) * 100_000,
}


@pytest.mark.parametrize("name", LIES)
def test_headers_that_lie(survives: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.wav").write_bytes(LIES[name])
    found = survives(read_wav, tmp_path / "a.wav", 16_000, megabytes=100)
    assert found is None or name in ("too large for floats", "endless samples")


@pytest.mark.parametrize("rate", [1_000, 767_999, 768_000])
def test_rates_that_share_no_factor(survives: Any, tmp_path: Path, rate: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(bytes(20_000), rate=rate))
    assert survives(read_wav, tmp_path / "a.wav", 44_101, megabytes=1500) is not None


def test_a_claim_of_gigabytes_in_a_file_with_holes(survives: Any, tmp_path: Path) -> None:
    """A file that is as long as it says, but takes no room on disk, is refused or fits."""
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(wav(b"ab")[:40] + struct.pack("<I", 1 << 31))
        file.truncate(44 + (1 << 30))
    assert survives(read_wav, tmp_path / "a.wav", megabytes=100) is None


def test_pipes_folders_and_devices(refused: Any, tmp_path: Path, pipe: Path) -> None:
    for path in (pipe, tmp_path, Path("/dev/zero"), tmp_path / "none", tmp_path / ("x" * 300)):
        refused(read_wav, path)
    refused(read_wav, tmp_path / "a\0b")


def commands(root: Path) -> Path:
    for word in ("<script>", "yes"):
        (root / "speech_commands" / word).mkdir(parents=True, exist_ok=True)
        for speaker in range(9):
            path = root / "speech_commands" / word / f"{speaker}_nohash_0.wav"
            wavfile.write(path, RATE, np.zeros(100, np.int16))
    return root / "speech_commands"


@given(text=st.one_of(st.binary(max_size=60), st.just(b"yes/1_nohash_0.wav\n../../etc/passwd\n")))
def test_lists_of_any_bytes(survives: Any, folder: Path, text: bytes) -> None:
    if not (folder / "speech_commands").exists():
        commands(folder)
    (folder / "speech_commands" / "testing_list.txt").write_bytes(text)
    found = survives(load_speech, "speech-commands", folder)
    assert found is None or all(path.is_relative_to(folder) for path in found.files)


def test_words_and_names_stay_what_they_are(survives: Any, tmp_path: Path) -> None:
    commands(tmp_path)
    assert survives(load_speech, "speech-commands", tmp_path).words == ("<script>", "yes")
    digits = tmp_path / "fsdd" / "recordings"
    digits.mkdir(parents=True)
    for name in ("x.wav", "7_a_b.wav", "99999999999999999999_a_1.wav", "<script>.wav"):
        (digits / name).write_bytes(GENUINE["16 bits"])
        assert survives(load_speech, "fsdd", tmp_path) is None
        (digits / name).unlink()


def test_a_pipe_among_recordings(refused: Any, tmp_path: Path) -> None:
    path = commands(tmp_path) / "yes" / "1_nohash_0.wav"
    path.unlink()
    os.mkfifo(path)
    refused(lambda: load_speech("speech-commands", tmp_path).sha256())
