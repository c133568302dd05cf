from texts import added, most


def main():
    names = [f"counts-{filename}" for filename in store.fetch(["filenames"])["filenames"]]
    counts = added(list(store.fetch(names).values()))
    store.put({"words": len(counts), "most": most(counts)}, {})
