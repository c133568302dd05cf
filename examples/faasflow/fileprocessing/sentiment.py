from pages import sentiment_of


def main():
    store.put({"score": sentiment_of(store.fetch(["text"])["text"])}, {})
