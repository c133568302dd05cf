import vision

store.post("mosaic", vision.told(vision.mosaic(store.fetch(["img"])["img"])))
