from vision import shows

store.post("illegal", shows(store.fetch(["img"])["img"], 4) > 0.95)
