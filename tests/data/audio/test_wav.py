"""WAV files of every coding, against scipy's reader; and files that are none."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from plastorch.data.audio.wav import Recording, read_wav, resampled
from plastorch.engine.errors import InputError

SCALES = {"uint8": 128, "int16": 2**15, "int32": 2**31, "float32": 1, "float64": 1}


def wav(data: bytes, kind: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> bytes:
    """A file as the format's description has it."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block % 2**32, block, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_codings_are_read_as_scipy_reads_them(tmp_path: Path, kind: str, channels: int) -> None:
    random = np.random.default_rng(0)
    signal = random.uniform(-1, 1, (501, channels))
    scaled = signal * (SCALES[kind] - 1) if SCALES[kind] > 1 else signal
    values = (scaled + 128 * (kind == "uint8")).astype(kind)
    wavfile.write(tmp_path / "a.wav", 16000, values if channels > 1 else values[:, 0])
    rate, raw = wavfile.read(tmp_path / "a.wav")
    expected = (raw.astype(float) - 128 * (kind == "uint8")) / SCALES[kind]
    expected = expected.reshape(501, channels).mean(axis=1)
    found = read_wav(tmp_path / "a.wav")
    assert found.rate == rate == 16000 and found.samples.dtype == torch.float32
    np.testing.assert_allclose(found.samples.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found.samples.numpy(), signal.mean(axis=1), atol=0.02)


def test_24_bits_and_the_extensible_header(tmp_path: Path) -> None:
    values = [0, 1, -1, 2**23 - 1, -(2**23), 70_000]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    file = wav(data, bits=24)
    form = file[20:36]
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    long = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHI", 22, 24, 0) + guid
    extended = file[:16] + struct.pack("<I", 40) + long + file[36:]
    for name, content in (("plain", file), ("extensible", extended)):
        (tmp_path / name).write_bytes(content)
        assert (read_wav(tmp_path / name).samples * 2**23).tolist() == values


def test_other_chunks_are_passed_over(tmp_path: Path) -> None:
    file = wav(struct.pack("<3h", 1, 2, 3))
    note = b"LIST" + struct.pack("<I", 5) + b"abcde\0"  # of odd length, with its padding
    chunks = file[8:12] + note + file[12:36] + note + file[36:] + note
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    assert (read_wav(tmp_path / "a.wav").samples * 2**15).tolist() == [1, 2, 3]


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_a_tone_keeps_its_pitch_at_another_rate(rate: int) -> None:
    def tone(rate: int) -> torch.Tensor:
        return torch.sin(2 * torch.pi * 440 * torch.arange(rate // 2) / rate)

    found = resampled(Recording(tone(rate), rate), 16000)
    assert found.rate == 16000 and len(found.samples) == 8000
    inside = slice(200, -200)
    assert (found.samples - tone(16000))[inside].abs().max() < 0.01


def test_what_the_lower_rate_cannot_hold_is_filtered_away() -> None:
    high = torch.sin(2 * torch.pi * 6000 * torch.arange(16000) / 16000)
    assert resampled(Recording(high, 16000), 8000).samples[200:-200].abs().max() < 0.01


TINY = struct.pack("<2h", 5, 6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a WAV file: File format b'' not understood"),
        (b"fLaC" + bytes(50), "not a WAV file: File format b'fLaC' not understood"),
        (b"RIFF\0\0\0\0AVI " + bytes(50), "not a WAV file"),
        (wav(TINY)[:-1], "is damaged, cut off"),
        (wav(TINY)[:-2], "Reached EOF prematurely"),
        (wav(TINY)[:36], "Unexpected end of file"),
        (wav(TINY)[:25], "is damaged"),
        (wav(b""), "has no samples"),
        (wav(TINY)[:12] + b"junk" + struct.pack("<I", 2**32 - 2) + TINY, "is damaged"),
        (wav(TINY)[:12] + wav(TINY)[36:] + wav(TINY)[12:36], "No fmt chunk before data"),
        (wav(TINY, rate=0), "rate 0 Hz; expected 1,000 to 768,000"),
        (wav(TINY, rate=2**30), "rate 1,073,741,824 Hz"),
        (wav(TINY, channels=0), "is damaged"),
        (wav(TINY, bits=12), "coding int8; expected whole numbers"),
        (wav(bytes(8), bits=64), "coding int64; expected whole numbers"),
        (wav(TINY, kind=6, bits=8), "Unknown wave file format: ALAW"),
        (wav(TINY)[:32] + struct.pack("<H", 4) + wav(TINY)[34:], "WAV header is invalid"),
        (wav(struct.pack("<f", float("nan")), kind=3, bits=32), "samples that are not finite"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_wav(tmp_path / "bad.wav")
    assert "bad.wav" in str(caught.value)


def test_no_file_and_no_rate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(InputError, match="Is a directory"):
        read_wav(tmp_path)
    with pytest.raises(InputError, match="rate is 10; expected 1,000 to 768,000 Hz"):
        resampled(Recording(torch.zeros(9), 8000), 10)
