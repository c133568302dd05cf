from vision import picture


def main():
    image = picture(str(store.fetch(["digits"])["digits"]))
    store.put({"image": image}, {"image": "application/octet-stream"})
