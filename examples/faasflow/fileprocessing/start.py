from pages import pages


def main():
    store.put({"text": pages()}, {})
