from vision import read


def main():
    store.put({"text": read(store.fetch(["image"])["image"])}, {})
