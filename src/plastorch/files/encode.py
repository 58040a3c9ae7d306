"""Correlative temporal encoding: similar records become spike patterns that coincide.

Every input neuron of a key that a record has spikes once, in one of Tb time bins, drawn by a fixed
hash of its code. Averaged over seeds, the share of neurons in which two records have the same code
is their similarity S; different codes coincide only by chance. So the expected share of neurons
that spike in the same bin is S + (P - S) / Tb, where P is the share of neurons whose keys both
records have: S + (1 - S) / Tb if no key is missing.

After Stanojevic, Cherubini, Moraitis, Sebastian, *File Classification Based on Spiking Neural
Networks*, ISCAS 2020, arXiv 2004.03953, and *Correlative time coding method for spiking neural
networks*, US patent 11,403,514. Their hash and codes are unpublished; these are plastorch's.

**The hash.** All numbers are unsigned 64-bit. fnv(bytes) is FNV-1a; mix(x) the splitmix64 finalizer
(x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27; x *= 0x94D049BB133111EB; x ^= x >> 31);
G = 0x9E3779B97F4A7C15. Neuron i = 0, 1, … of a key has

    salt_i = mix(mix(fnv(name) ^ mix(seed + G)) + (i + 1) G)
    u_i = (i + (mix(salt_i + G) >> 11) / 2⁵³) / n_m
    bin(code) = ((mix(code ^ salt_i) >> 32) Tb) >> 32

u_i is uniform over the key's neurons, with one value in each n_m-th part, so that grids and depths
cover all shifts evenly: that leaves less to chance than independent values. If the key tells exact
numbers apart, the last half of its neurons, rounded down, do that, and n_m is the number of others.

**The codes.** Names and texts are hashed as UTF-8.

- category: fnv(text). A value never seen in training has a code like any other.
- number: floor(v + u_i), v in widths from the center: a grid that is shifted for each neuron; of
  neurons that tell exact numbers apart, fnv(text).
- cycle: the same on the circle, modulo its number of cells.
- set: the least m_e = mix(fnv(e) ^ salt_i) among its elements e (MinHash), and bin(code) is
  ((mix(m ^ G) >> 32) Tb) >> 32; of an empty set, m = 2⁶⁴ - 1.
- path: fnv("/first/second…") of 1 + floor(u_i depth) leading components, or of all if fewer.
- pair of keys: fnv of both texts with the byte 0x1F between them, in a key that is named
  "first × second"; missing if either is.
- missing: no spike.

The million records of a catalog have only a few hundred different owners, folders, sizes in a grid;
only these are encoded.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.engine.errors import InputError
from plastorch.engine.threads import in_threads
from plastorch.files.column_values import cells, keyed, numbers, texts, utf8
from plastorch.files.key import Key
from plastorch.files.pairs import Pair
from plastorch.spiking.patterns.parts import Parts
from plastorch.spiking.patterns.rule import NO_SPIKE

CHUNK = 8192
"""Number of records encoded at once; their patterns stay in the processor's cache."""


@dataclass(frozen=True)
class CorrelativeEncoder:
    """Encodes records as the time bins in which input neurons spike.

    Args:
        keys: learned keys; see :func:`plastorch.files.keys.infer_keys`.
        bins: number of time bins Tb, 2 to 254.
        seed: seed of the hash, 0 to 2⁶³ - 1. Patterns of different seeds are unrelated.
        pairs: pairs of those keys that are categories; their neurons come last.

    Raises:
        InputError: there is no key, two have the same name, a pair is of other keys, or bins or
            seed are out of range.

    Example:
        >>> encoder = CorrelativeEncoder((Key("owner", "category", 4), Key("size", "number", 2)))
        >>> encoder.encode([{"owner": "ada", "size": 3.5}, {"owner": "ada"}])
        array([[ 13,  18,   7,  14,   1,  14],
               [ 13,  18,   7,  14, 255, 255]], dtype=uint8)
    """

    keys: Sequence[Key]
    bins: int = 20
    seed: int = 0
    pairs: Sequence[Pair] = ()

    def __post_init__(self) -> None:
        for name in ("keys", "pairs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        names = [key.name for key in self._inputs]
        if not self.keys or len(set(names)) < len(names):
            raise InputError(f"keys are {', '.join(names) or 'none'}; expected some, each once")
        categories = {key.name for key in self.keys if key.kind == "category"}
        for pair in self.pairs:
            if not {pair.first, pair.second} <= categories:
                raise InputError(f"pairs has {pair.name}; expected two keys that are categories")
        if not 2 <= self.bins <= NO_SPIKE - 1:
            raise InputError(f"bins is {self.bins}; expected 2 to {NO_SPIKE - 1}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}; expected 0 to 2**63 - 1")

    @property
    def neurons(self) -> int:
        """Number of input neurons N of all keys and pairs together."""
        return sum(key.neurons for key in self._inputs)

    @property
    def spans(self) -> dict[str, slice]:
        """Range of each key's, and then each pair's neurons among the N."""
        ends = np.cumsum([key.neurons for key in self._inputs]).tolist()
        return {
            key.name: slice(end - key.neurons, end)
            for key, end in zip(self._inputs, ends, strict=True)
        }

    def encode(self, records: Any) -> NDArray[np.uint8]:
        """Returns the bin of each neuron's spike.

        Besides the result, a few megabytes are needed for any number of records.

        Args:
            records: B records, as for :func:`plastorch.files.as_frame.as_frame`. A key that they
                lack is missing in all of them.

        Returns:
            Bins from 0 to Tb - 1, or NO_SPIKE where a key is missing [B, N].

        Raises:
            InputError: the records have none of the keys.
        """
        frame = keyed(records, self.keys)
        bins = np.empty((frame.height, self.neurons), np.uint8)
        for begin in range(0, frame.height, CHUNK):
            part = slice(begin, begin + CHUNK)
            bins[part] = self.encode_parts(frame[part]).assemble()
        return bins

    def encode_parts(self, records: Any) -> Parts:
        """Returns the same patterns as :meth:`encode`, as the distinct patterns of each key.

        Keys are divided among as many threads as torch may use.

        Args:
            records: records, as for :meth:`encode`.

        Raises:
            InputError: the records have none of the keys.

        Example:
            >>> keys = Key("owner", "category", 8), Key("size", "number", 8)
            >>> rows = [{"owner": "ada", "size": 7}, {"owner": "bob"}, {"owner": "ada"}]
            >>> CorrelativeEncoder(keys).encode_parts(rows).codes
            array([[0, 0],
                   [1, 1],
                   [0, 1]], dtype=uint32)
        """
        frame, keys = keyed(records, self.keys), len(self.keys)
        codes = np.empty((keys + len(self.pairs), frame.height), np.uint32).T  # by column
        tables = [np.empty((0, 0), np.uint8) for _ in codes.T]

        def fill_keys(begin: int, end: int) -> None:
            for part in range(begin, end):
                codes[:, part], tables[part] = self._encode_key(
                    frame.to_series(part), self.keys[part]
                )

        def fill_pairs(begin: int, end: int) -> None:
            for part in range(keys + begin, keys + end):
                codes[:, part], tables[part] = self._encode_pair(
                    frame, codes, self.pairs[part - keys]
                )

        useful = max(1, codes.size // 100_000)
        in_threads(fill_keys, keys, useful)
        in_threads(fill_pairs, len(self.pairs), useful)
        return Parts(tables, codes)

    @property
    def _inputs(self) -> list[Key]:
        """Keys, and then pairs as keys, each with its neurons."""
        return [*self.keys, *(pair.key for pair in self.pairs)]

    def _encode_pair(
        self, frame: pl.DataFrame, codes: NDArray[np.uint32], pair: Pair
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Returns the different patterns of a pair, and which one each record has, given the codes
        of its keys: only the different combinations are joined as text."""
        from plastorch.files.distinct import distinct

        names = pair.first, pair.second
        first, second = (codes[:, frame.columns.index(name)].astype(np.uint64) for name in names)
        which, firsts = distinct((first << np.uint64(32) | second)[:, np.newaxis])
        values = pair.values(*(frame[name].gather(firsts) for name in names))
        again, table = self._encode_key(values, pair.key)
        return again[which], table

    def _encode_key(
        self, column: pl.Series, key: Key
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Returns the different patterns of a key, and which one each record has."""
        from plastorch.files import encode_kernels as kernels  # numba takes a second
        from plastorch.files.distinct import distinct

        name, count = np.frombuffer(key.name.encode(), np.uint8), np.uint64(self.bins)
        grids = key.neurons - key.exact_neurons
        salts, uniform = kernels.salts_of(name, np.uint64(self.seed), key.neurons, grids)
        if key.kind in ("number", "cycle"):
            values, places = numbers(column), cells(column, key)
            exact = values.view(np.uint64)[:, np.newaxis]
            codes, firsts = distinct(exact if key.exact else kernels.grid_places(places, uniform))
            bins = kernels.encode_numbers(places[firsts], key.cells, salts[:grids], uniform, count)
            if key.exact:
                data = utf8(texts(pl.Series(values[firsts], nan_to_null=True)))
                bins = np.hstack([bins, kernels.encode_categories(*data, salts[grids:], count)])
            again, rows = distinct(_padded(bins))  # chance makes more patterns equal
            return again[codes], bins[rows]
        codes, firsts = distinct(_words(column)[:, np.newaxis])
        column = column.gather(firsts)
        data = utf8(texts(column))
        if key.kind == "path":
            depths = 1 + (uniform * key.depth).astype(np.int64)
            return codes, kernels.encode_paths(*data, salts, depths, count)
        if key.kind == "set":
            return codes, kernels.encode_sets(*data, salts, count)
        return codes, kernels.encode_categories(*data, salts, count)


def coincidence(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the share of neurons that spike in the same bin.

    Args:
        first: spike patterns [..., N].
        second: spike patterns to compare with them [..., N].

    Returns:
        Shares in [0, 1] [...].

    Example:
        >>> coincidence(np.array([[3, 4, 255]], np.uint8), np.array([[3, 5, 255]], np.uint8))
        array([0.33333333])
    """
    return np.asarray(((first == second) & (first != NO_SPIKE)).mean(-1), np.float64)


def _words(column: pl.Series) -> NDArray[np.uint64]:
    """Returns words that are equal for equal values [B], and for others as good as never: they are
    hashes of 64 bits whose seed nobody can foresee."""
    if not (column.dtype == pl.String or column.dtype == pl.Boolean or column.dtype.is_integer()):
        column = texts(column)
    return column.hash(secrets.randbits(64)).to_numpy()


def _padded(table: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.pad(table, ((0, 0), (0, -table.shape[1] % 8))).view(np.uint64)
