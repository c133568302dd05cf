from vision import spooky_words


def main():
    store.put({"filter_count": spooky_words(store.fetch(["translated"])["translated"])}, {})
