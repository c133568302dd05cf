from pages import html_of


def main():
    store.put({"html": html_of(store.fetch(["text"])["text"])}, {})
