"""How kernels are compiled by numba."""

from typing import Any

from numba.core.compiler import Compiler


class NoOverlap(Compiler):
    """Promises that no two arguments of a function overlap: loops that write to many arrays would
    not be vectorised otherwise, which costs a factor of three. Give it as ``pipeline_class``.
    """

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]
