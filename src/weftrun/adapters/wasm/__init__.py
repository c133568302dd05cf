"""WebAssembly modules by wasmtime: kept, compiled ahead of time, and run, an instance for each call."""
