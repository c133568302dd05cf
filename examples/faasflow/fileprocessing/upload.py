from pages import receipt


def main():
    got = store.fetch(["html", "score"])
    store.put({"uploaded": receipt(got["html"], got["score"])}, {})
