from texts import counted


def main():
    filename = store.fetch(["filename"])["filename"]
    text = store.fetch([filename])[filename]
    store.put({f"counts-{filename}": counted(text)}, {})
