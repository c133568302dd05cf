import ffmpeg


def main():
    given = store.fetch(["video", "segment_time"])
    pieces = {f"piece_{n}": piece for n, piece in enumerate(ffmpeg.split(given["video"], given["segment_time"]))}
    store.put({"split_keys": list(pieces)}, {})
    store.put(pieces, dict.fromkeys(pieces, "application/octet-stream"))
