import ffmpeg


def main():
    seconds = store.fetch(["segment_time"])["segment_time"]
    video = ffmpeg.clip()
    data = {"video": video, "preview": ffmpeg.preview(video)}
    store.put(data, dict.fromkeys(data, "application/octet-stream"))
    store.put({"split": seconds > 0}, {})
