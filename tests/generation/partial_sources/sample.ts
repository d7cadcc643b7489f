import { readFile } from "node:fs/promises";
import type { Stats } from "node:fs";

export interface Segment {
  readonly id: string;
  start: number;
  end: number;
  labels?: ReadonlyArray<string>;
  meta: Record<string, unknown>;
}

export type Outcome<T> =
  | { kind: "kept"; value: T }
  | { kind: "dropped"; reason: string };

type Mapper<A, B> = (value: A, index: number) => B | undefined;

const MOST_SEGMENTS = 1_000;
const NAMES = ["intro", "middle", "end"] as const;
export type Name = (typeof NAMES)[number];

/** Segments in order of their start; a tie goes to the longer one. */
export function ordered(segments: readonly Segment[]): Segment[] {
  return [...segments].sort((a, b) => {
    if (a.start !== b.start) {
      return a.start - b.start;
    }
    return b.end - b.start - (a.end - a.start);
  });
}

export function overlapping(one: Segment, other: Segment): boolean {
  return one.start < other.end && other.start < one.end;
}

function isName(value: unknown): value is Name {
  return typeof value === "string" && (NAMES as readonly string[]).includes(value);
}

export function mapped<A, B>(values: Iterable<A>, mapper: Mapper<A, B>): B[] {
  const found: B[] = [];
  let index = 0;
  for (const value of values) {
    const result = mapper(value, index++);
    if (result !== undefined) found.push(result);
  }
  return found;
}

export class Timeline<Label extends string = Name> {
  #segments = new Map<string, Segment>();
  private cached: Segment[] | null = null;
  static readonly empty = new Timeline();

  public readonly title: string;

  constructor(title?: string) {
    this.title = title ?? "untitled";
  }

  get length(): number {
    return this.#segments.size;
  }

  add(segment: Segment, ...labels: Label[]): this {
    if (this.#segments.size >= MOST_SEGMENTS) {
      throw new RangeError(`at most ${MOST_SEGMENTS} segments, not ${this.length + 1}`);
    }
    this.#segments.set(segment.id, { ...segment, labels: [...(segment.labels ?? []), ...labels] });
    this.cached = null;
    return this;
  }

  all(): Segment[] {
    return (this.cached ??= ordered([...this.#segments.values()]));
  }

  *pairs(): Generator<[Segment, Segment], void, undefined> {
    const all = this.all();
    for (let i = 0; i + 1 < all.length; i++) {
      yield [all[i]!, all[i + 1]!];
    }
  }

  find(id: string): Outcome<Segment> {
    const value = this.#segments.get(id);
    return value ? { kind: "kept", value } : { kind: "dropped", reason: `no segment ${id}` };
  }
}

export async function load(path: string, signal?: AbortSignal): Promise<Timeline> {
  const timeline = new Timeline(path);
  let text: string;
  try {
    text = await readFile(path, { encoding: "utf8", signal });
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") {
      return timeline;
    }
    throw error;
  }
  const lines = text.split(/\r?\n/u).filter((line) => line.trim() !== "");
  for (const [number, line] of lines.entries()) {
    const [id, start, end, name] = line.split(",");
    switch (name) {
      case undefined:
        continue;
      case "skip": {
        break;
      }
      default:
        timeline.add({
          id: id ?? `line-${number}`,
          start: Number.parseFloat(start ?? "0"),
          end: Number(end),
          meta: { line: number, known: isName(name) },
        });
    }
  }
  return timeline;
}

export const describe = (stats: Stats, { unit = "kB", digits = 1 }: { unit?: string; digits?: number } = {}) =>
  `${(stats.size / 1024).toFixed(digits)} ${unit}` satisfies string;
