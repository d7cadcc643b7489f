import { open } from "node:fs/promises";

const MOST = 64;
const KINDS = ["text", "image", "sound"];

/** A ring of the newest entries; older ones are overwritten. */
export class Ring {
  #entries = new Array(MOST);
  #next = 0;
  count = 0;

  static of(...values) {
    const ring = new Ring();
    for (const value of values) {
      ring.push(value);
    }
    return ring;
  }

  push(value) {
    this.#entries[this.#next] = value;
    this.#next = (this.#next + 1) % MOST;
    this.count = Math.min(this.count + 1, MOST);
    return this;
  }

  *[Symbol.iterator]() {
    const first = this.count < MOST ? 0 : this.#next;
    for (let i = 0; i < this.count; i += 1) {
      yield this.#entries[(first + i) % MOST];
    }
  }

  get newest() {
    return this.count ? this.#entries[(this.#next + MOST - 1) % MOST] : undefined;
  }
}

function parsed(line, { strict = true, kinds = KINDS } = {}) {
  const match = /^(?<kind>\w+)\s*:\s*(?<rest>.*)$/u.exec(line);
  if (match === null) {
    if (strict) throw new SyntaxError(`no kind in ${JSON.stringify(line)}`);
    return null;
  }
  const { kind, rest } = match.groups;
  return kinds.includes(kind) ? { kind, rest: rest.trim() } : null;
}

export async function* lines(path) {
  const file = await open(path);
  try {
    for await (const line of file.readLines()) {
      // An empty line is no entry.
      if (line.length > 0) yield line;
    }
  } finally {
    await file.close();
  }
}

export async function read(path, options) {
  const ring = new Ring();
  const seen = new Map();
  for await (const line of lines(path)) {
    const entry = parsed(line, options);
    if (!entry) continue;
    seen.set(entry.kind, (seen.get(entry.kind) ?? 0) + 1);
    ring.push({ ...entry, number: seen.get(entry.kind) });
  }
  return { ring, seen: Object.fromEntries(seen) };
}

const table = (rows) =>
  rows
    .map((row) => Object.values(row).join("\t"))
    .filter(Boolean)
    .join("\n");

export default async function main(argv = process.argv.slice(2)) {
  const [path = "-", ...flags] = argv;
  switch (flags[0]) {
    case "--loose":
      return table([...(await read(path, { strict: false })).ring]);
    case "--count": {
      const { seen } = await read(path);
      let total = 0;
      for (const kind in seen) {
        total += seen[kind];
      }
      return String(total);
    }
    default:
      break;
  }
  do {
    flags.shift();
  } while (flags.length > 0 && flags[0].startsWith("--"));
  return table([...(await read(path)).ring]);
}
