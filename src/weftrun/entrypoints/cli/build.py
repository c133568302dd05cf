"""`weftrun build`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from weftrun.adapters.wasm.building import build
from weftrun.adapters.wasm.components import load_component
from weftrun.entrypoints.cli.output import print_json


@click.command("build")
@click.argument("source", metavar="FILE.c|FILE.cpp|FILE.ts|FILE.py", type=click.Path(path_type=Path))
@click.argument("flags", metavar="[-- FLAG...]", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The module; default: FILE.wasm in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, flags: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Build a WebAssembly function of C or C++, or a component of Python.

    A program in C may include weftrun.h, which tells what it can ask of the engine; FLAGs are handed to the compiler. A
    file of Python exports its functions, by their annotations. It needs the extra `wasm-build`.
    """
    target = output if output is not None else Path(source.stem + ".wasm")
    warned = build(str(source), str(target), flags)
    if warned:
        print(warned, file=sys.stderr)
    exports = list(load_component(str(target), "").functions) if source.suffix == ".py" else []
    nbytes = target.stat().st_size
    if as_json:
        print_json({"module": str(target), "nbytes": nbytes, "exports": exports})
    else:
        print(f"{target}: {nbytes:,} bytes" + (f", with {', '.join(exports)}" if exports else ""))
