from vision import shows


def main():
    store.put({"is_violent": shows(store.fetch(["image"])["image"], 4) > 0.95}, {})
