import ffmpeg

given = store.fetch(["video", "segment_time"])
for piece in ffmpeg.split(given["video"], given["segment_time"]):
    store.post("piece", piece, datatype="octet")
