import ffmpeg


def main():
    keys = [f"transcoded_{key}" for key in store.fetch(["split_keys"])["split_keys"]]
    video = ffmpeg.merged(list(store.fetch(keys).values()))
    store.put({"done": {"seconds": ffmpeg.seconds_of(video), "pieces": len(keys)}}, {})
