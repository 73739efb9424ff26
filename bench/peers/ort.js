// ONNX Runtime: node ort.js MODEL_JSON THREADS. The protocol is that of peers/__init__.py.
"use strict";
const fs = require("fs");
const readline = require("readline");
const path = require("path");
const ort = require(path.join(process.env.AIGC_BENCH_NODE, "onnxruntime-node"));

function fill(input) {
  const bytes = fs.readFileSync(input.file);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const data = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array }[input.dtype];
  return new ort.Tensor(input.dtype, new data(buffer), input.shape);
}

async function main() {
  const about = JSON.parse(fs.readFileSync(process.argv[2]));
  const session = await ort.InferenceSession.create(about.onnx, {
    intraOpNumThreads: Number(process.argv[3]), interOpNumThreads: 1, executionMode: "sequential", graphOptimizationLevel: "all",
  });
  const feeds = Object.fromEntries(about.inputs.map((i) => [i.name, fill(i)]));
  // Results come into memory that is there already, as with the other engines.
  const fetches = Object.fromEntries(about.outputs.map((o) => {
    const size = o.shape.reduce((x, y) => x * y, 1);
    return [o.name, new ort.Tensor("float32", new Float32Array(size), o.shape)];
  }));
  const run = () => session.run(feeds, fetches);
  const answer = (what) => process.stdout.write(JSON.stringify(what) + "\n");
  answer({ ready: "ONNX Runtime" });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.op === "time") {
      const ms = [];
      const end = performance.now() + 1e3 * request.seconds;
      while (ms.length === 0 || performance.now() < end) {
        const start = performance.now();
        await run();
        ms.push(performance.now() - start);
      }
      answer({ ms: ms.length > 3 ? ms.slice(1) : ms });
    } else if (request.op === "output") {
      const start = performance.now();
      const out = (await run())[about.outputs[0].name].data;
      const took = performance.now() - start;
      fs.writeFileSync(request.file, Buffer.from(out.buffer, out.byteOffset, out.byteLength));
      answer({ count: out.length, ms: took });
    } else {
      answer({});
    }
  }
}

main().catch((e) => {
  process.stderr.write(`${e.stack}\n`);
  process.exit(1);
});
