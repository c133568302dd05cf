import ffmpeg

seconds = store.fetch(["segment_time"])["segment_time"]
video = ffmpeg.clip()
store.post("video", video, datatype="octet")
store.post("segment_time", seconds)
store.post("split", seconds > 0)
store.post("preview", ffmpeg.preview(video), datatype="octet")
