import ffmpeg


def main():
    key = store.fetch(["split_keys"])["split_keys"]
    video = ffmpeg.transcoded(store.fetch([key])[key])
    store.put({f"transcoded_{key}": video}, {f"transcoded_{key}": "application/octet-stream"})
