"""Programs in C that were written for MPI are built and run as they are: messages with tags, and collective calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftrun.adapters.wasm.building import NotBuilt, build
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.runner import load, run
from weftrun.model.errors import WasmTrapped
from weftrun.model.wasm import WasmLimits

pytestmark = pytest.mark.sweep
RING = Path(__file__).with_name("mpi_ring.c")
BAD = """#define WEFTRUN_MPI_RANKS 2
#include <mpi.h>
int main(void) {
  char five[5] = "";
  int rank;
  unsigned n = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (weftrun_input(NULL)[0] == 'm') MPI_Reduce(&n, &n, 1, MPI_UNSIGNED, MPI_MAX, 0, MPI_COMM_WORLD);
  else if (rank == 0) MPI_Send("too long", 8, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
  else MPI_Recv(five, 5, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return 0;
}
"""


def called(path: Path, input: bytes = b"") -> bytes:
    return run(load(str(path), ""), "_start", "m", input, CallReach(), WasmLimits(time_s_max=20)).output


@pytest.mark.timeout(200)
@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_a_program_of_mpi_gives_what_the_standard_says(tmp_path: Path, ranks: int) -> None:
    """A message with another tag, and one before a collective call, waits until it is asked for."""
    assert build(str(RING), str(tmp_path / "ring.wasm"), [f"-DWEFTRUN_MPI_RANKS={ranks}"]) == ""
    assert called(tmp_path / "ring.wasm") == f"{ranks} of {ranks}".encode()


@pytest.mark.timeout(200)
def test_what_goes_wrong_ends_the_group(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text(BAD, encoding="utf-8")
    build(str(tmp_path / "bad.c"), str(tmp_path / "bad.wasm"))
    with pytest.raises(WasmTrapped, match=r"member 1 of 2\) ended"):
        called(tmp_path / "bad.wasm", b"long")
    with pytest.raises(WasmTrapped, match=r"member 0 of 2\) ended"):
        called(tmp_path / "bad.wasm", b"max")
    (tmp_path / "any.c").write_text(BAD.replace("five, 5, MPI_CHAR, 0,", "five, 5, MPI_CHAR, MPI_ANY_SOURCE,"))
    with pytest.raises(NotBuilt, match="MPI_ANY_SOURCE"):
        build(str(tmp_path / "any.c"), str(tmp_path / "any.wasm"))
