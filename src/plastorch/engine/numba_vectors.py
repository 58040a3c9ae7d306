"""Vectors of sixteen numbers in kernels that numba compiles, where the compiler finds none itself.

LLVM maps them to whatever vectors the processor has.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

from plastorch.engine.numba_options import kernel

_compiled: Any = intrinsic
LANES = 16
LINE = 64
"""Size of a cache line in bytes."""
_FUSE = ("contract",)
"""Flag that lets a product and a sum be one instruction, as in the other kernels."""


@kernel
def aligned_zeros(count, dtype):  # type: ignore[no-untyped-def]
    """Returns zeros that begin with a cache line: vectors that cross two take twice as long."""
    room = np.zeros(count + LINE, dtype)
    begin = (LINE - room.ctypes.data % LINE) % LINE // room.itemsize
    return room[begin : begin + count]


class Sixteen(types.Type):
    """Type of sixteen numbers of one type."""

    def __init__(self, number: Any) -> None:
        self.number = number
        super().__init__(name=f"Sixteen({number})")


@register_model(Sixteen)
class _SixteenModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Sixteen) -> None:
        number = manager.lookup(kind.number).get_value_type()
        super().__init__(manager, kind, ir.VectorType(number, LANES))  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Returns a pointer to sixteen numbers of an array from a place on."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(kind.dtype), LANES)
    return builder.bitcast(builder.gep(data, [place]), vector.as_pointer()), vector


def _check(array: Any) -> None:
    if array.layout != "C":
        raise TypingError(f"array is {array}; expected a contiguous one")


@_compiled
def load(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Returns sixteen numbers of a contiguous array, from a place in its memory on."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        pointer, vector = _pointer(context, builder, kind, *values)
        return builder.load(pointer, align=kind.dtype.bitwidth // 8, typ=vector)

    _check(array)
    return Sixteen(array.dtype)(array, types.int64), code


@_compiled
def store(typing_context, array, place, sixteen):  # type: ignore[no-untyped-def]
    """Writes sixteen numbers to a contiguous array, from a place in its memory on."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        pointer, _ = _pointer(context, builder, kind, *values[:2])
        builder.store(values[2], pointer, align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    _check(array)
    return types.void(array, types.int64, sixteen), code


@kernel(inline="always")
def store_eight(array, place, distance, eight):  # type: ignore[no-untyped-def]
    """Writes eight times sixteen numbers to a contiguous array, at places of equal distances."""
    store(array, place, eight[0])
    store(array, place + distance, eight[1])
    store(array, place + 2 * distance, eight[2])
    store(array, place + 3 * distance, eight[3])
    store(array, place + 4 * distance, eight[4])
    store(array, place + 5 * distance, eight[5])
    store(array, place + 6 * distance, eight[6])
    store(array, place + 7 * distance, eight[7])


def _splat(builder: Any, number: Any, vector: Any) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), places)


@_compiled
def full(typing_context, number):  # type: ignore[no-untyped-def]
    """Returns a number sixteen times."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        vector = context.get_value_type(signature.return_type)
        return _splat(builder, values[0], vector)

    return Sixteen(number)(number), code


@_compiled
def plus(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns sums."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.fadd(*values, flags=_FUSE)

    return one(one, two), code


def _pick(builder: Any, one: Any, two: Any, numbers: list[int]) -> Any:
    """Returns a vector of some numbers of two, which are counted through."""
    places = ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
    return builder.shuffle_vector(one, two, places)


@_compiled
def sums_of(typing_context, eight):  # type: ignore[no-untyped-def]
    """Returns the eight sums of eight times sixteen numbers.

    The halves of two vectors are added into one vector, until one holds two parts of each sum."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        vectors, width = [builder.extract_value(values[0], n) for n in range(8)], LANES
        while len(vectors) > 1:
            width //= 2
            lower = [n for n in range(2 * LANES) if n % (2 * width) < width]
            upper = [n + width for n in lower]
            vectors = [
                builder.fadd(_pick(builder, one, two, lower), _pick(builder, one, two, upper))
                for one, two in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        (parts,) = vectors
        even = [2 * n for n in range(8)]
        odd = [n + 1 for n in even]
        sums = builder.fadd(_pick(builder, parts, parts, even), _pick(builder, parts, parts, odd))
        numbers = [builder.extract_element(sums, ir.IntType(32)(n)) for n in range(8)]
        return context.make_tuple(builder, signature.return_type, numbers)

    numbers = types.Tuple([one.number for one in eight])  # type: ignore[no-untyped-call]
    return numbers(eight), code


@_compiled
def times(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns products."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.fmul(*values, flags=_FUSE)

    return one(one, two), code


@_compiled
def above(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns 1 where the first number is greater, else 0."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        vector = values[0].type
        ones, zeros = ir.Constant(vector, [1.0] * LANES), ir.Constant(vector, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", *values), ones, zeros)

    return one(one, two), code


@_compiled
def above_bits(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns a whole number whose lowest bit tells whether the first of the sixteen numbers is
    greater, the next bit whether the second is, and so on."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        greater = builder.fcmp_ordered(">", *values)
        bits = builder.bitcast(greater, ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(one, two), code


@_compiled
def greater(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns the greater numbers."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return one(one, two), code


@_compiled
def smaller(typing_context, one, two):  # type: ignore[no-untyped-def]
    """Returns the smaller numbers."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered("<", *values), *values)

    return one(one, two), code


@_compiled
def choose(typing_context, one, two, yes, no):  # type: ignore[no-untyped-def]
    """Returns numbers of ``yes`` where the first is greater than the second, else of ``no``."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered(">", *values[:2]), *values[2:])

    return yes(one, two, yes, no), code


@_compiled
def fused(typing_context, one, two, three):  # type: ignore[no-untyped-def]
    """Returns the products of the first two, plus the third. Of two such numbers, one is chosen
    after both are computed: the compiler would rather choose between parts of sums before."""

    def code(context, builder, signature, values):  # type: ignore[no-untyped-def]
        vector, name = values[0].type, f"llvm.fmuladd.v{LANES}f{one.number.bitwidth}"
        kind = ir.FunctionType(vector, [vector] * 3)
        fuse = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        return builder.call(fuse, values)

    return one(one, two, three), code
