const MOST_BYTES = 64 * 2 ** 20;
const ROW_BYTES = 150; // of a row besides its text, about
const LANDMARKS = /^landmark_/;
const WHY = /^why_/;

/** The rows of a session as lines of CSV; beyond MOST_BYTES the oldest frames go. */
export class SessionRows {
  #columns = [];
  #landmarkColumns = [];
  #whyColumns = [];
  #frames = [];
  #first = 0;
  #bytes = 0;
  #count = 0;
  #isTrimmed = false;

  get count() {
    return this.#count;
  }

  /** Whether the oldest rows are gone. */
  get isTrimmed() {
    return this.#isTrimmed;
  }

  clear() {
    this.#frames = [];
    this.#first = this.#bytes = this.#count = 0;
    this.#isTrimmed = false;
  }

  /**
   * Add the rows of a frame and return them as an entry that `replace` takes.
   *
   * `columns` are those of every row, in their order; `asked` ({landmarks, why}) says which others are kept.
   */
  add(rows, columns, asked) {
    this.#learn(rows[0] ?? {}, columns, asked);
    const frame = { lines: [], bytes: 0 };
    this.#frames.push(frame);
    this.#fill(frame, rows, asked);
    while (this.#bytes > MOST_BYTES && this.#first < this.#frames.length - 1) this.#forgetOldest();
    return frame;
  }

  /** Put other rows in the place of an entry: a photo that was analyzed again. */
  replace(frame, rows, asked) {
    this.#learn(rows[0] ?? {}, this.#columns, asked);
    this.#take(frame);
    this.#fill(frame, rows, asked);
  }

  /** The file, UTF-8, as RFC 4180 has it. */
  toBlob() {
    const header = [...this.#columns, ...this.#landmarkColumns, ...this.#whyColumns].map(cell).join(",");
    const parts = [header, "\r\n"];
    for (let index = this.#first; index < this.#frames.length; index++) {
      for (const [base, landmarks, why] of this.#frames[index].lines) {
        parts.push(base, padded(landmarks, this.#landmarkColumns), padded(why, this.#whyColumns), "\r\n");
      }
    }
    return new Blob(parts, { type: "text/csv;charset=utf-8" });
  }

  #learn(row, columns, asked) {
    this.#columns = columns;
    const others = (kind) => Object.keys(row).filter((name) => kind.test(name));
    if (asked.landmarks && !this.#landmarkColumns.length) this.#landmarkColumns = others(LANDMARKS);
    if (asked.why && !this.#whyColumns.length) this.#whyColumns = others(WHY);
  }

  #fill(frame, rows, asked) {
    const line = (row, names) => names.map((name) => cell(row[name])).join(",");
    frame.lines = rows.map((row) => [
      line(row, this.#columns),
      asked.landmarks ? line(row, this.#landmarkColumns) : "",
      asked.why ? line(row, this.#whyColumns) : "",
    ]);
    const sizes = frame.lines.map((parts) => ROW_BYTES + parts[0].length + parts[1].length + parts[2].length);
    frame.bytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#bytes += frame.bytes;
    this.#count += frame.lines.length;
  }

  #take(frame) {
    this.#bytes -= frame.bytes;
    this.#count -= frame.lines.length;
  }

  #forgetOldest() {
    this.#take(this.#frames[this.#first]);
    this.#frames[this.#first++] = undefined;
    this.#isTrimmed = true;
    if (this.#first > this.#frames.length / 2) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
  }
}

function padded(text, columns) {
  if (!columns.length) return "";
  return `,${text || ",".repeat(columns.length - 1)}`;
}

function cell(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hand a file to the browser's downloads. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
