from texts import texts


def main():
    found = texts()
    store.put({"filenames": list(found)}, {})
    store.put(found, {})
