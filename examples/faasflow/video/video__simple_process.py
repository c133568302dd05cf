import ffmpeg

video = ffmpeg.transcoded(store.fetch(["video"])["video"])
store.post("done", {"seconds": ffmpeg.seconds_of(video), "pieces": 1})
