"""The yardstick for `make bench`: a plain Python ingest worker with the same model.

Pillow decodes and resizes in a pool of threads (it releases the interpreter lock while it does), onnxruntime embeds in
batches, vectors end in one numpy array. Prints images a second and peak memory as JSON.

usage: python_worker.py MODEL_DIR IMAGE [IMAGE ...]
"""

import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import onnxruntime
from PIL import Image, ImageOps

SHORTER_SIDE, CROP, BATCH = 256, 224, 16


def prepare(path):
    image = Image.open(path)
    image = ImageOps.exif_transpose(image).convert("RGB")
    scale = SHORTER_SIDE / min(image.size)
    image = image.resize([max(SHORTER_SIDE, round(side * scale)) for side in image.size], Image.BICUBIC)
    left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
    pixels = numpy.asarray(image.crop((left, top, left + CROP, top + CROP)), numpy.float32) / 255
    return ((pixels - 0.5) / 0.5).transpose(2, 0, 1)


def main():
    model, paths = sys.argv[1], sys.argv[2:]
    threads = len(os.sched_getaffinity(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{model}/image.onnx", options)
    session.run(None, {"pixel_values": numpy.zeros((1, 3, CROP, CROP), numpy.float32)})

    started = time.perf_counter()
    vectors = []
    with ThreadPoolExecutor(threads) as pool:
        prepared = pool.map(prepare, paths)
        batch = []
        for pixels in prepared:
            batch.append(pixels)
            if len(batch) == BATCH:
                vectors.append(session.run(None, {"pixel_values": numpy.stack(batch)})[0])
                batch = []
        if batch:
            vectors.append(session.run(None, {"pixel_values": numpy.stack(batch)})[0])
    seconds = time.perf_counter() - started
    assert len(numpy.concatenate(vectors)) == len(paths)
    # Not getrusage: its figure is the parent's when that was larger at the fork.
    with open("/proc/self/status") as status:
        peak_mib = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024
    print(json.dumps({"images_per_second": len(paths) / seconds, "peak_mib": peak_mib}))


if __name__ == "__main__":
    main()
