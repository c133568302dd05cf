import ffmpeg

store.post("transcoded", ffmpeg.transcoded(store.fetch(["video"])["video"]), datatype="octet")
