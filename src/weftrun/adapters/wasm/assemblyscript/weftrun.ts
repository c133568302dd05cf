// What a WebAssembly function written in AssemblyScript may call: `import { input, output } from "weftrun"`. It is a part of what
// weftrun.h declares; the rest is declared by a program itself in the same way, as `@external("weftrun", NAME)`.

@external("weftrun", "input_size") declare function input_size(): u32;
@external("weftrun", "input_read") declare function input_read(at: usize, bytes: u32, offset: u32): u32;
@external("weftrun", "output_set") declare function output_set(at: usize, bytes: u32): i32;
@external("weftrun", "object_size") declare function object_size(key: usize, keyBytes: u32): i64;
@external("weftrun", "object_read") declare function object_read(key: usize, keyBytes: u32, offset: i64, at: usize, bytes: u32): i64;
@external("weftrun", "object_write") declare function object_write(key: usize, keyBytes: u32, at: usize, bytes: u32): i32;

/** The input, as bytes. */
export function input(): ArrayBuffer {
  const bytes = new ArrayBuffer(input_size());
  input_read(changetype<usize>(bytes), bytes.byteLength, 0);
  return bytes;
}

/** Sets the answer; the last one counts. */
export function output(bytes: ArrayBuffer): void {
  output_set(changetype<usize>(bytes), bytes.byteLength);
}

/** The value of a key of the bucket; null where it isn't there. */
export function read(key: string): ArrayBuffer | null {
  const name = String.UTF8.encode(key);
  const size = object_size(changetype<usize>(name), name.byteLength);
  if (size < 0) return null;
  const bytes = new ArrayBuffer(<i32>size);
  object_read(changetype<usize>(name), name.byteLength, 0, changetype<usize>(bytes), bytes.byteLength);
  return bytes;
}

/** Replaces the value of a key, at once and whole. */
export function write(key: string, bytes: ArrayBuffer): void {
  const name = String.UTF8.encode(key);
  object_write(changetype<usize>(name), name.byteLength, changetype<usize>(bytes), bytes.byteLength);
}
