// Runs an exported function that was linked for wasm32: node driver.mjs MODULE NAME WEIGHTS CALLS ANSWERS
import { readFileSync, existsSync, writeFileSync } from "node:fs";

const [path, name, weightsPath, callsPath, answersPath] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(path), {});
const { memory, __heap_base: base, ...functions } = instance.exports;
const run = functions[`${name}_run`], arenaBytes = functions[`${name}_arena_bytes`];
let top = base.value;

function allocate(bytes) {
  const at = Math.ceil(top / 64) * 64;
  top = at + Math.max(64, bytes);
  const missing = top - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  return at;
}
const bytesAt = (at, count) => new Uint8Array(memory.buffer, at, count);

const weights = existsSync(weightsPath) ? readFileSync(weightsPath) : new Uint8Array(0);
const weightsAt = weights.length ? allocate(weights.length) : 0;
if (weights.length) bytesAt(weightsAt, weights.length).set(weights);
const calls = readFileSync(callsPath);
let place = 0;
const number = () => Number(calls.readBigInt64LE((place += 8) - 8));
const answers = [];
for (let left = number(); left > 0; left--) {
  const before = top;
  const dims = number(), sizesAt = allocate(8 * dims);
  for (let i = 0; i < dims; i++) {
    new DataView(memory.buffer).setBigInt64(sizesAt + 8 * i, BigInt(number()), true);
  }
  const inputs = [];
  for (let n = number(); n > 0; n--) {
    const size = number(), at = allocate(size);
    bytesAt(at, size).set(calls.subarray(place, place + size));
    place += size;
    inputs.push(at);
  }
  const results = [];
  for (let n = number(); n > 0; n--) {
    const size = number();
    results.push([allocate(size), size]);
  }
  const pointers = (list) => {
    const at = allocate(4 * list.length);
    list.forEach((value, i) => new DataView(memory.buffer).setUint32(at + 4 * i, value, true));
    return at;
  };
  const inputsAt = pointers(inputs), resultsAt = pointers(results.map(([at]) => at));
  const needed = arenaBytes(sizesAt);
  const arena = needed > 0n ? allocate(Number(needed)) : 0;
  const status = needed < 0n ? -Number(needed)
    : run(sizesAt, inputsAt, resultsAt, weightsAt, BigInt(weights.length), arena, needed, 0);
  const word = Buffer.alloc(8);
  word.writeBigInt64LE(BigInt(status));
  answers.push(word, ...results.map(([at, size]) => Buffer.from(bytesAt(at, size))));
  top = before;
}
if (weights.length) answers.push(Buffer.from(bytesAt(weightsAt, weights.length)));
writeFileSync(answersPath, Buffer.concat(answers));
