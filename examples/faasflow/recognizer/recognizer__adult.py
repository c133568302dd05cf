from vision import shows

store.post("illegal", shows(store.fetch(["img"])["img"], 8) > 0.95)
