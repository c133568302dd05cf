import ffmpeg

pieces = store.fetch(["pieces"])["pieces"]
store.post("done", {"seconds": ffmpeg.seconds_of(ffmpeg.merged(pieces)), "pieces": len(pieces)})
