from vision import spooky_words

text = store.fetch(["text"])["text"]
store.post("illegal", spooky_words(text) >= 1)
store.post("text", text)
