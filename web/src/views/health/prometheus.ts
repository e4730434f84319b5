// Reads what /metrics says: the text format of Prometheus and OpenMetrics.

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? +(\S+)(?: +\S+)?$/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)" *(?:,|$) */gy;

function labelsOf(text: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  let end = 0;
  for (let found = LABEL.exec(text); found; found = LABEL.exec(text)) {
    const [, name = "", value = ""] = found;
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    end = LABEL.lastIndex;
  }
  return end === text.length ? labels : undefined;
}

function valueOf(text: string): number | undefined {
  if (/^[+-]?Inf$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (text === "NaN") return NaN;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}

/** The samples, in their order. Lines that are not understood are left out, so that a newer central does no harm. */
export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name, inside, written = ""] = LINE.exec(line.trimEnd()) ?? [];
    const labels = inside === undefined ? {} : labelsOf(inside);
    const value = valueOf(written);
    if (name !== undefined && labels !== undefined && value !== undefined)
      samples.push({ name, labels, value });
  }
  return samples;
}

/** Samples by name, with sums over labels. */
export class Metrics {
  readonly #byName = new Map<string, Sample[]>();

  constructor(text: string) {
    for (const sample of parseMetrics(text)) {
      const known = this.#byName.get(sample.name);
      if (known) known.push(sample);
      else this.#byName.set(sample.name, [sample]);
    }
  }

  get size(): number {
    return this.#byName.size;
  }

  all(name: string): readonly Sample[] {
    return this.#byName.get(name) ?? [];
  }

  /** The sum of all samples that have these labels; undefined if there is none. */
  sum(name: string, labels: Record<string, string> = {}): number | undefined {
    const wanted = Object.entries(labels);
    let total: number | undefined;
    for (const sample of this.all(name))
      if (wanted.every(([label, value]) => sample.labels[label] === value))
        total = (total ?? 0) + sample.value;
    return total;
  }
}
