from texts import counted

store.post("res", counted(store.fetch(["file"])["file"]))
