from texts import added

store.post("res", len(added(store.fetch(["counts"])["counts"])))
