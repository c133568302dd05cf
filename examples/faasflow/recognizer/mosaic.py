import vision


def main():
    store.put({"mosaic": vision.told(vision.mosaic(store.fetch(["image"])["image"]))}, {})
