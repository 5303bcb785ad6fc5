// BullMQ, with the same jobs, marks and commands as work.py and produce.py:
//   node bullmq.js work CONCURRENCY | fill KIND SINGLE BULK | pace RATE COUNT
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const { Queue, Worker } = require("bullmq");

const folder = process.env.BENCH_MARKS;
const { hostname: host, port } = new URL(process.env.BENCH_URL);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const SIZE = 160;

const marks = Object.fromEntries(
  ["done", "stamp", "crash", "arrived"].map((kind) => [kind, fs.openSync(path.join(folder, kind), "a")]),
);
const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
let open = false;

function atGate() {
  const gate = path.join(folder, "gate");
  const cell = new Int32Array(new SharedArrayBuffer(4));
  if (!fs.existsSync(gate)) {
    fs.writeSync(marks.arrived, `${process.pid}\n`);
    while (!fs.existsSync(gate)) Atomics.wait(cell, 0, 0, 1); // holds up the event loop, as in work.py
  }
  open = true;
}

const jobs = {
  async noop() {
    if (!open) atGate();
    fs.writeSync(marks.done, ".");
  },
  async stamp(payload) {
    fs.writeSync(marks.stamp, `${now() - BigInt(payload.split(" ")[0])}\n`);
  },
  async nap() {
    if (!open) atGate();
    await sleep(5);
    fs.writeSync(marks.done, ".");
  },
  async crash(payload) {
    const number = Number(payload.split(" ")[0]);
    fs.writeSync(marks.crash, `S ${number} ${now()}\n`);
    await sleep(20);
    fs.writeSync(marks.crash, `E ${number} ${now()}\n`);
  },
};

const payload = (number) => `${String(number).padStart(8, "0")} `.padEnd(SIZE, "x");

async function fill(queue, kind, single, bulk) {
  await queue.add(kind, { payload: payload(0) });
  let begun = performance.now();
  for (let number = 1; number < single; number++) await queue.add(kind, { payload: payload(number) });
  const singleTook = (performance.now() - begun) / 1000;
  begun = performance.now();
  for (let start = single; start < single + bulk; start += 1000) {
    const size = Math.min(1000, single + bulk - start);
    await queue.addBulk(
      Array.from({ length: size }, (_, index) => ({ name: kind, data: { payload: payload(start + index) } })),
    );
  }
  const bulkTook = bulk ? (performance.now() - begun) / 1000 : null;
  console.log(JSON.stringify({ single: singleTook, bulk: bulkTook }));
}

async function pace(queue, rate, count) {
  let due = performance.now();
  for (let sent = 0; sent < count; sent++) {
    due += 1000 / rate;
    await sleep(Math.max(0, due - performance.now()));
    await queue.add("stamp", { payload: `${now()} `.padEnd(SIZE, "x") });
  }
}

async function main() {
  const [mode, ...rest] = process.argv.slice(2);
  if (mode === "work") {
    const options = { connection, concurrency: Number(rest[0]) };
    if (process.env.BENCH_TUNED === "1") options.removeOnComplete = { count: 1000 };
    const worker = new Worker("bench", (job) => jobs[job.name](job.data.payload), options);
    worker.on("error", (error) => console.error(error));
    return;
  }
  const queue = new Queue("bench", { connection });
  if (mode === "fill") await fill(queue, rest[0], Number(rest[1]), Number(rest[2]));
  else await pace(queue, Number(rest[0]), Number(rest[1]));
  await queue.close();
}

main();
