from vision import shows


def main():
    store.put({"is_adult": shows(store.fetch(["image"])["image"], 8) > 0.95}, {})
