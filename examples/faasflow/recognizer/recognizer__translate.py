from vision import translated

store.post("translated_text", translated(store.fetch(["text"])["text"]))
