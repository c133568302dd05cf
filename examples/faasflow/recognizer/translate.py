from vision import translated


def main():
    store.put({"translated": translated(store.fetch(["text"])["text"])}, {})
