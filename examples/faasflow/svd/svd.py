"""The decomposition in Python: does what workflow_info.yaml says."""

import matrices
from matrices import Matrix

from weftrun import function, workflow


@function(effects="none")
def start(rows: int) -> list[Matrix]:
    return matrices.blocks(rows)


@function(effects="none")
def compute(block: Matrix) -> Matrix:
    return matrices.reduced(block)


@function(effects="none")
def merge(parts: list[Matrix]) -> dict[str, list[float]]:
    return {"res": matrices.largest(parts)}


@workflow
def svd(rows: int) -> dict[str, list[float]]:
    made = start(rows)
    return merge([compute(made[number]) for number in range(matrices.BLOCKS)])
