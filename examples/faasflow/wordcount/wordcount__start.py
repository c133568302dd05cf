from texts import texts

for text in texts().values():
    store.post("file", text)
